"""What KServe says of an InferenceService that it makes nothing of: there is no pod then that could tell."""

from __future__ import annotations

from serin.api.reasons import Reason
from serin.rollout.observed import Failure
from serin.serving.live import Live
from serin.serving.pods import MESSAGE_LENGTH
from serin.serving.pods import redact

# By KServe's own reasons (v0.20 inference_service_status.go FailureReason, predictor.go), some of which name no remedy
# and no runtime.
REMEDIES = {
    "RuntimeNotRecognized": "there is no ServingRuntime or ClusterServingRuntime {runtime}: install it (KServe's own "
    "are, from 0.17 on, in a Helm chart of their own, kserve-runtime-configs), or name another in spec.serving.runtime",
    "RuntimeDisabled": "enable the runtime {runtime}, or name another in spec.serving.runtime",
    "NoSupportingRuntime": "name a runtime in spec.serving.runtime that supports the model format {format} and the "
    "protocol {protocol}, which {runtime} does not",
}
REMEDY = "correct the runtime {runtime}, or spec.serving.resources and spec.serving.overrides"


def refusal(service: Live) -> Failure | None:
    """Why KServe makes no pods of the InferenceService, and what helps; None where it says nothing of the kind."""
    told = service.status.get("refusal")
    if told is None:
        return None
    model = (service.spec.get("predictor") or {}).get("model") or {}
    remedy = REMEDIES.get(told["reason"], REMEDY).format(
        runtime=model.get("runtime"),
        format=(model.get("modelFormat") or {}).get("name"),
        protocol=model.get("protocolVersion"),
    )
    words = redact(f"{told['reason']}: {told['message']}")[:MESSAGE_LENGTH]
    return Failure(Reason.BACKEND_REFUSED, f"KServe makes no pods of it ({words}): {remedy}")


def misread(service: Live) -> Failure | None:
    """Why nothing can come of the InferenceService, where a KServe that is too old serves it in another mode."""
    mode = service.status.get("deploymentMode")
    if mode is None:
        return None
    return Failure(
        Reason.BACKEND_REFUSED,
        f"KServe made the InferenceService {service.name} in mode {mode}, not in mode Standard, a word that it knows "
        "from 0.16 on: Serin needs KServe 0.16 or newer",
    )
