"""The closed set of reasons: one word and one sentence each, alike in conditions, events and metrics.

A reason is part of the API: people alert on it. It is never reused for something else.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a condition is what it is. The sentence of each stands in :data:`SENTENCES`."""

    # Everything is as declared.
    HEALTHY = "Healthy"
    RESOLVED = "Resolved"
    ROUTED = "Routed"
    SERVING = "Serving"
    CANDIDATE_READY = "CandidateReady"
    NO_CANDIDATE = "NoCandidate"

    # On the way.
    PENDING = "Pending"
    RESOLVING = "Resolving"
    DEPLOYING = "Deploying"
    WAITING_FOR_REPLICAS = "WaitingForReplicas"
    WAITING_FOR_GATEWAY = "WaitingForGateway"
    PROGRESSING = "Progressing"
    AWAITING_APPROVAL = "AwaitingApproval"
    PAUSED = "Paused"
    FROZEN = "Frozen"
    ANALYSIS_PASSING = "AnalysisPassing"
    ANALYSIS_INCONCLUSIVE = "AnalysisInconclusive"
    ANALYSIS_ERROR = "AnalysisError"
    ANALYSIS_FAILED = "AnalysisFailed"
    PROMOTING = "Promoting"
    BAKING = "Baking"
    ROLLING_BACK = "RollingBack"
    SUSPENDED = "Suspended"

    # How a rollout ended.
    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    SUPERSEDED = "Superseded"
    REVERTED = "Reverted"
    ABORTED = "Aborted"
    UNDONE = "Undone"
    DEADLINE_EXCEEDED = "DeadlineExceeded"

    # What is wrong with a candidate, as its own pods say it.
    LOAD_FAILED = "LoadFailed"
    CRASHED = "Crashed"
    DOWNLOAD_FAILED = "DownloadFailed"
    POD_CREATION_FAILED = "PodCreationFailed"
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    CONTAINER_CONFIG_ERROR = "ContainerConfigError"
    STARTUP_DEADLINE_EXCEEDED = "StartupDeadlineExceeded"

    # What is wrong with what was declared, or with what it names.
    INVALID_SPEC = "InvalidSpec"
    REGISTRY_NOT_FOUND = "RegistryNotFound"
    REGISTRY_UNAVAILABLE = "RegistryUnavailable"
    REGISTRY_REFUSED = "RegistryRefused"
    NAMESPACE_NOT_ALLOWED = "NamespaceNotAllowed"
    MODEL_NOT_FOUND = "ModelNotFound"
    VERSION_NOT_FOUND = "VersionNotFound"
    ALIAS_NOT_FOUND = "AliasNotFound"
    ARTIFACT_NOT_FOUND = "ArtifactNotFound"
    ARTIFACT_NOT_ALLOWED = "ArtifactNotAllowed"
    NOT_A_MODEL = "NotAModel"
    POLICY_NOT_FOUND = "PolicyNotFound"
    INVALID_POLICY = "InvalidPolicy"
    INVALID_QUERY = "InvalidQuery"
    SIGNATURE_INCOMPATIBLE = "SignatureIncompatible"
    QUALITY_TOO_LOW = "QualityTooLow"
    NO_RUNTIME = "NoRuntime"
    NAME_TOO_LONG = "NameTooLong"
    BACKEND_NOT_INSTALLED = "BackendNotInstalled"
    GATEWAY_API_NOT_INSTALLED = "GatewayApiNotInstalled"
    GATEWAY_API_TOO_OLD = "GatewayApiTooOld"
    GATEWAY_NOT_CONFIGURED = "GatewayNotConfigured"
    ROUTE_REFUSED = "RouteRefused"
    NAME_CONFLICT = "NameConflict"
    CONTESTED = "Contested"
    BACKEND_REFUSED = "BackendRefused"
    BACKEND_UNAVAILABLE = "BackendUnavailable"
    FORBIDDEN = "Forbidden"
    STABLE_UNAVAILABLE = "StableUnavailable"
    STATUS_LOST = "StatusLost"

    # Of a ModelRegistry.
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 (a word, not a secret)
    INVALID_SECRET = "InvalidSecret"  # noqa: S105 (a word, not a secret)
    REACHABLE = "Reachable"


SENTENCES: dict[Reason, str] = {
    Reason.HEALTHY: "The declared version has all traffic and its replicas are ready.",
    Reason.RESOLVED: "The registry named an immutable version, and the status pins it.",
    Reason.ROUTED: "The gateway accepted the route with the weights that the status shows.",
    Reason.SERVING: "At least one ready revision answers requests.",
    Reason.CANDIDATE_READY: "All replicas that the candidate needs for its next weight are ready.",
    Reason.NO_CANDIDATE: "No rollout is running.",
    Reason.PENDING: "The operator has seen the object and has not decided anything yet.",
    Reason.RESOLVING: "The registry is being asked for the version.",
    Reason.DEPLOYING: "The revision is being deployed and gets no traffic yet.",
    Reason.WAITING_FOR_REPLICAS: "Replicas of the revision are not ready, or not ready for long enough.",
    Reason.WAITING_FOR_GATEWAY: "The route is written and the gateway has not accepted this generation of it yet.",
    Reason.PROGRESSING: "The candidate has the weight of its step, and the step's hold is running.",
    Reason.AWAITING_APPROVAL: "The step's hold is over, and it goes on when a person approves it.",
    Reason.PAUSED: "A person paused the rollout: it keeps its weight, and its clocks stand still.",
    Reason.FROZEN: "A check failed, and onFailure is Freeze: the weight stays until a person decides.",
    Reason.ANALYSIS_PASSING: "Every check that decides passes in this step.",
    Reason.ANALYSIS_INCONCLUSIVE: "There is not enough evidence yet, neither for the candidate nor against it.",
    Reason.ANALYSIS_ERROR: "What the candidate does could not be measured; nothing moves forward meanwhile.",
    Reason.ANALYSIS_FAILED: "The evidence against the candidate reached its limit, or a value is out of its bounds.",
    Reason.BAKING: "The candidate has all traffic; the stable revision is warm until the bake time is over.",
    Reason.PROMOTING: "The candidate passed all steps and is getting all traffic.",
    Reason.ROLLING_BACK: "The candidate failed; its traffic goes back to the stable revision.",
    Reason.SUSPENDED: "spec.suspend is true: nothing is changed, what serves keeps serving, and clocks stand still.",
    Reason.PROMOTED: "The candidate got all traffic and is the stable revision now.",
    Reason.ROLLED_BACK: "The declared version failed and was taken back; the stable revision serves.",
    Reason.SUPERSEDED: "Another version was declared before the rollout of this one ended.",
    Reason.REVERTED: "The stable version was declared again before the rollout ended.",
    Reason.ABORTED: "A person ended the rollout: the stable revision has all traffic, the candidate is rejected.",
    Reason.UNDONE: "A person went back to the revision before; the one that was in use is rejected.",
    Reason.DEADLINE_EXCEEDED: "The candidate did not get all traffic within rollout.deadline.",
    Reason.LOAD_FAILED: "The model server ended while it loaded the model.",
    Reason.CRASHED: "The model server ended while it had traffic, a container beside it keeps ending, or a pod failed.",
    Reason.DOWNLOAD_FAILED: "The storage initializer could not fetch the model's artifacts.",
    Reason.POD_CREATION_FAILED: "The API server refuses the revision's pods: a quota, a limit, pod security, or a "
    "service account that is missing.",
    Reason.UNSCHEDULABLE: "No node has room for a pod of the revision.",
    Reason.IMAGE_PULL_FAILED: "An image of the revision's pods cannot be pulled.",
    Reason.CONTAINER_CONFIG_ERROR: "A container cannot be made: a Secret, ConfigMap or key it names is missing.",
    Reason.STARTUP_DEADLINE_EXCEEDED: "The revision was not ready within serving.startupDeadline.",
    Reason.INVALID_SPEC: "The spec has a value that this operator cannot carry out.",
    Reason.REGISTRY_NOT_FOUND: "There is no ModelRegistry of that name in the operator's namespace.",
    Reason.REGISTRY_UNAVAILABLE: "The registry does not answer; nothing moves forward, what serves keeps serving.",
    Reason.REGISTRY_REFUSED: "The registry refused the operator's credentials or its host name.",
    Reason.NAMESPACE_NOT_ALLOWED: "The ModelRegistry's allowedNamespaces does not select this namespace.",
    Reason.MODEL_NOT_FOUND: "The registry has no registered model of that name.",
    Reason.VERSION_NOT_FOUND: "The registered model has no such version.",
    Reason.ALIAS_NOT_FOUND: "The registered model has no such alias, or the version it pointed at was deleted.",
    Reason.ARTIFACT_NOT_FOUND: "The version has no readable MLmodel file: its artifacts are gone.",
    Reason.ARTIFACT_NOT_ALLOWED: "The artifact location matches no prefix of the registry's artifacts.allowed.",
    Reason.NOT_A_MODEL: "The name belongs to a prompt, not to a model.",
    Reason.POLICY_NOT_FOUND: "There is no RolloutPolicy of that name in the operator's namespace.",
    Reason.INVALID_POLICY: "The RolloutPolicy has a value that this operator cannot carry out.",
    Reason.INVALID_QUERY: "A check's query is no template, or uses what a query must not.",
    Reason.SIGNATURE_INCOMPATIBLE: "The version's signature breaks clients of the stable one; the message names what.",
    Reason.QUALITY_TOO_LOW: "A metric of the version is missing or not good enough for gates.quality.",
    Reason.NO_RUNTIME: "No serving runtime of the operator's settings can serve the model's flavors and protocol.",
    Reason.NAME_TOO_LONG: "The namespace's name leaves no room for the names of the backend's objects.",
    Reason.BACKEND_NOT_INSTALLED: "The serving backend's custom resources are not installed in this cluster.",
    Reason.GATEWAY_API_NOT_INSTALLED: "The Gateway API's HTTPRoute is not installed in this cluster.",
    Reason.GATEWAY_API_TOO_OLD: "The Gateway API of this cluster does not know a field that the route needs.",
    Reason.GATEWAY_NOT_CONFIGURED: "Neither spec.traffic.gateways nor the operator's settings name a gateway.",
    Reason.ROUTE_REFUSED: "The gateway did not accept the route; its own words are in the message.",
    Reason.NAME_CONFLICT: "An object of the name that is needed belongs to somebody else, or is not gone yet.",
    Reason.CONTESTED: "Another controller or an admission webhook undoes what the operator writes, again and again.",
    Reason.BACKEND_REFUSED: "The API server, an admission webhook or the backend refused what the deployment needs.",
    Reason.BACKEND_UNAVAILABLE: "A webhook, or the API server, has failed a request for a minute; "
    "it is tried again; what serves keeps serving.",
    Reason.FORBIDDEN: "The operator's service account lacks a permission that it needs here.",
    Reason.STABLE_UNAVAILABLE: "The stable revision has no ready replica; no unproven candidate takes its traffic.",
    Reason.STATUS_LOST: "The status lost what is in use while a revision serves: nothing changes until it is declared.",
    Reason.SECRET_NOT_FOUND: "A Secret that the ModelRegistry names does not exist in the operator's namespace.",
    Reason.INVALID_SECRET: "A Secret that the ModelRegistry names lacks the keys that are needed.",
    Reason.REACHABLE: "The registry answers: one poll that fails is tried again first.",
}
