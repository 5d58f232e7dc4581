"""What would change the state of a ModelDeployment: one sentence for each phase, and one for each reason of Ready or of
what a rollout waits for.

Reasons say why it is so (``api/reasons.py`` has their sentences); these say what comes next, and who makes it come. A
reason that only says what its phase says has none of its own, and a rollout is moved on by what it waits for, whatever
its phase. A test holds both tables complete. ``changes`` chooses among them, fills in :data:`PLACES`, and adds the
orders that make sense.
"""

from __future__ import annotations

PLACES = ("name", "namespace", "candidate", "stable", "once")

_WAITS = "What it waits for moves it on."

BY_PHASE: dict[str, str] = {
    "Pending": "The operator looks at it within seconds where it runs: "
    "kubectl get pods -A -l app.kubernetes.io/name=serin.",
    "Resolving": "The registry's answer starts the deployment; the operator asks by itself until it has one.",
    "Deploying": _WAITS,
    "Progressing": _WAITS,
    "AwaitingApproval": _WAITS,
    "Paused": _WAITS,
    "Promoting": _WAITS,
    "Baking": _WAITS,
    "Healthy": "Another version or alias target, or a changed spec.serving, starts a rollout.",
    "RollingBack": "The gateway's word that {stable} has all traffic again ends it.",
    "RolledBack": "Declare another version, or mend what was wrong and declare that.",
    "Failed": "It goes on by itself once the cause is mended; the operator looks again at least every minute.",
    "Suspended": "Set spec.suspend to false where the manifest comes from: then the operator works on it again.",
    "Terminating": "Kubernetes' garbage collector removes what it owned.",
}

_PODS = "Mend what the pods say and declare the result: a changed spec.serving or another version is a new revision."
_PLATFORM = "The platform team has to mend it; the operator looks again by itself."

BY_REASON: dict[str, str] = {
    "Healthy": "",
    "Pending": "",
    "Resolving": "",
    "Deploying": "",
    "WaitingForReplicas": "Replicas that become ready; their pods say what keeps them: kubectl get pods "
    "-n {namespace} -l serin.dev/modeldeployment={name}.",
    "WaitingForGateway": "The gateway's controller has to accept the HTTPRoute {name}; look whether it runs.",
    "Progressing": "The end of the hold moves it on{once}.",
    "Promoting": "",
    "AwaitingApproval": "Somebody who approves it moves it on.",
    "AnalysisInconclusive": "More requests to {candidate} decide it: then it moves on, or fails.",
    "AnalysisError": "What the checks ask has to be answered again: look at Prometheus, and at the check that the "
    "message names. Until then nothing moves forward.",
    "AnalysisFailed": "Look at the check that failed: serin status {name} -n {namespace}.",
    "Paused": "Somebody who resumes it moves it on.",
    "Baking": "The end of the bake promotes {candidate}{once}.",
    "RollingBack": "",
    "Undone": "The revision before is deployed again; ready replicas and the gateway's word end it.",
    "Frozen": "Look at the check that failed: serin status {name} -n {namespace}. Resumed, the step begins anew and is "
    "judged anew.",
    "DeadlineExceeded": "The rollout took longer than its deadline: find out what held it up before you let it go on.",
    "Suspended": "",
    "RolledBack": "",
    "LoadFailed": "The model server cannot load the model: compare the model's MLflow flavor and requirements with the "
    "runtime, or choose spec.serving.runtime. " + _PODS,
    "Crashed": "Look at the container's end (memory, exit code): spec.serving.resources may be too small. " + _PODS,
    "DownloadFailed": "spec.serving.serviceAccountName needs the right to read the artifacts, and they have to be "
    "there.",
    "PodCreationFailed": "Make the ServiceAccount, or room in the quota or limit, that the message names. Kubernetes "
    "tries again by itself, but ever more rarely; where the version was rejected, serin retry {name} -n {namespace} "
    "makes new pods.",
    "Unschedulable": "Room on a node, or smaller spec.serving.resources, or other selectors in spec.serving.overrides.",
    "ImagePullFailed": "The image and its registry's login, in the serving runtime or in spec.serving.overrides.",
    "ContainerConfigError": "Create the Secret, ConfigMap or key that the message names, or correct spec.serving.env.",
    "StartupDeadlineExceeded": "Find out why it is slow, or raise spec.serving.startupDeadline.",
    "InvalidSpec": "Correct the field that the message names.",
    "RegistryNotFound": "Correct spec.model.registry, or have the platform team make that ModelRegistry.",
    "RegistryUnavailable": "The registry has to answer again; the operator asks by itself.",
    "RegistryRefused": "The platform team has to correct the ModelRegistry's credentials or address.",
    "NamespaceNotAllowed": "The platform team has to allow the namespace: spec.allowedNamespaces of the ModelRegistry.",
    "ModelNotFound": "Correct spec.model.name, or register the model.",
    "VersionNotFound": "Correct spec.model.version, or register that version.",
    "AliasNotFound": "Correct spec.model.alias, or set the alias in the registry.",
    "ArtifactNotFound": "Log the model again as a new version: the artifacts of this one are gone.",
    "ArtifactNotAllowed": "Store the model under a prefix of the ModelRegistry's artifacts.allowed, or have that "
    "extended.",
    "NotAModel": "Name a registered model: a prompt cannot be served.",
    "PolicyNotFound": "Correct spec.rollout.policy, or have the platform team make that RolloutPolicy.",
    "InvalidPolicy": "The platform team has to correct the field of the RolloutPolicy that the message names.",
    "InvalidQuery": "Correct the query that the message names; its variables are in the reference.",
    "SignatureIncompatible": "Log the model with a signature under which the clients' requests stay good; or tell the "
    "clients, and set gates.signature to Warn.",
    "QualityTooLow": "Register a better version, or log the metric that is missing: metrics are read anew every few "
    "minutes, and at once by serin retry {name} -n {namespace}.",
    "NoRuntime": "Log the model with a flavor that a runtime serves, or have the platform team add a runtime to the "
    "operator's settings.",
    "NameTooLong": "Use a namespace with a shorter name.",
    "BackendNotInstalled": _PLATFORM,
    "GatewayApiNotInstalled": _PLATFORM,
    "GatewayApiTooOld": "The platform team has to install the Gateway API that the message names; until then declare "
    "steps without what it names.",
    "GatewayNotConfigured": "Set spec.traffic.gateways, or have the platform team set gateways in the operator's "
    "settings.",
    "RouteRefused": "Correct spec.traffic.hostnames or gateways: the message has the gateway's own words.",
    "NameConflict": "Rename or remove the object that the message names, or rename the ModelDeployment.",
    "Contested": "Find the controller or the admission webhook that writes the fields which the message names, and "
    "keep it from them.",
    "BackendRefused": "Correct what the message names, mostly spec.serving.overrides.",
    "BackendUnavailable": "The webhook that the message names has to answer: look whether its pods run; the operator "
    "tries again by itself.",
    "Forbidden": "The operator's ClusterRole lacks what the message names: upgrade or correct the chart's rbac.",
    "StableUnavailable": "Replicas of {stable} that are ready again; their pods say what is wrong: kubectl get pods "
    "-n {namespace} -l serin.dev/modeldeployment={name}.",
    "StatusLost": "Declare the version that the message says is in use, with the spec.serving that it had. Once it is "
    "Healthy, declare the other one again.",
    "SecretNotFound": "The platform team has to create the Secret that the ModelRegistry names.",
    "InvalidSecret": "The platform team has to put the keys that the message names into the Secret.",
}
