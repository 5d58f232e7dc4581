"""The status of a ModelDeployment: what serves, since when, why, and what it waits for.

It is the operator's only memory. ``stable``, ``candidate`` and ``previous`` carry the template their pods were made
from, so that a revision can be put back when it is deleted by hand although the spec has moved on.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from serin.api.analysis import Analysis
from serin.api.analysis import CheckStatus
from serin.api.analysis import Verdict
from serin.api.base import StatusModel
from serin.api.modeldeployment import Backend
from serin.api.modeldeployment import EnvVar
from serin.api.modeldeployment import Protocol
from serin.api.modeldeployment import Resources
from serin.api.quantities import FreeObject
from serin.api.quantities import Time
from serin.api.reasons import Reason
from serin.api.rollout import DIRECT_HEADER
from serin.api.rollout import OnFailure
from serin.api.rollout import OnInconclusive

HISTORY_LENGTH = 10
REJECTED_LENGTH = 10


class Phase(StrEnum):
    """The state in one word, for people. Machines read the conditions."""

    PENDING = "Pending"
    RESOLVING = "Resolving"
    DEPLOYING = "Deploying"
    PROGRESSING = "Progressing"
    AWAITING_APPROVAL = "AwaitingApproval"
    PAUSED = "Paused"
    PROMOTING = "Promoting"
    BAKING = "Baking"
    HEALTHY = "Healthy"
    ROLLING_BACK = "RollingBack"
    ROLLED_BACK = "RolledBack"
    FAILED = "Failed"
    SUSPENDED = "Suspended"


class ConditionType(StrEnum):
    """The conditions. Reconciling and Stalled (kstatus), Paused and GatesWarning are absent when they are not true."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    AVAILABLE = "Available"
    MODEL_RESOLVED = "ModelResolved"
    CANDIDATE_READY = "CandidateReady"
    TRAFFIC_ROUTED = "TrafficRouted"
    ANALYSIS_PASSING = "AnalysisPassing"
    PAUSED = "Paused"
    GATES_WARNING = "GatesWarning"


class Outcome(StrEnum):
    """How a rollout ended."""

    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    SUPERSEDED = "Superseded"
    REVERTED = "Reverted"
    ABORTED = "Aborted"
    UNDONE = "Undone"


class Condition(StatusModel):
    """metav1.Condition."""

    type: ConditionType = Field(description="Type of the condition.")
    status: Literal["True", "False", "Unknown"] = Field(description="True, False or Unknown.")
    reason: Reason = Field(description="One word of the closed set of reasons.")
    message: str = Field(default="", max_length=32768, description="What a person needs to know.")
    observed_generation: int = Field(description="metadata.generation that the condition speaks of.")
    last_transition_time: Time = Field(description="When the status of the condition changed last.")


class Resolved(StatusModel):
    """The immutable version that the spec's version or alias stands for."""

    registry: str = Field(description="Name of the ModelRegistry.")
    name: str = Field(description="Registered model name.")
    version: int = Field(description="Version of the registered model.")
    alias: str | None = Field(default=None, description="The alias that named the version.")
    run_id: str | None = Field(default=None, description="MLflow run that logged the model.")
    model_id: str | None = Field(default=None, description="MLflow logged model.")
    artifact_uri: str = Field(description="Location of the artifacts as the pods fetch it, after rewriting.")
    digest: str = Field(description="sha256 of the version's MLmodel file.")
    flavors: tuple[str, ...] = Field(default=(), description="Flavors that the MLmodel file names.")
    resolved_at: Time | None = Field(default=None, description="When the version was resolved.")


class Template(StatusModel):
    """Everything that makes a revision's pods what they are."""

    backend: Backend = Field(description="What serves the model.")
    runtime: str = Field(description="Serving runtime, as chosen when the revision was made.")
    model_format: str = Field(description="Model format by which the runtime is told what it loads.")
    server: str = Field(description="Family of the model server: MLServer or KServe.")
    protocol: Protocol = Field(description="Inference protocol.")
    artifact_uri: str = Field(description="Where the pods fetch the model.")
    digest: str = Field(description="sha256 of the version's MLmodel file.")
    run_id: str | None = Field(default=None, description="MLflow run that logged the model.")
    resources: Resources | None = Field(default=None, description="Compute resources of the model server.")
    service_account_name: str | None = Field(default=None, description="ServiceAccount of the pods.")
    env: tuple[EnvVar, ...] = Field(default=(), description="Environment variables of the model server.")
    workers: int | None = Field(default=None, description="Processes in one replica.")
    overrides: FreeObject | None = Field(default=None, description="Merge patch over the backend's predictor.")


class Revision(StatusModel):
    """One revision that is deployed."""

    revision: str = Field(description="Name of the revision, <name>-v<version>-<hash>, and of its backend's object.")
    version: str = Field(description="Model version, such as v12.")
    registry: str | None = Field(default=None, description="The ModelRegistry that its model is from.")
    model: str | None = Field(default=None, description="Registered model name.")
    since: Time = Field(description="Stable and previous: when it got all traffic. Candidate: when it was declared.")
    replicas: int = Field(default=0, description="Replicas that are wanted now.")
    ready: int = Field(default=0, description="Replicas that are ready.")
    floor: int | None = Field(
        default=None,
        description=(
            "Autoscaled: replicas that it keeps at least, as many as all the traffic needed. "
            "Candidate: as many as its steps have taken so far."
        ),
    )
    floor_until: Time | None = Field(
        default=None,
        description="Stable: until when it keeps them, set when it has all traffic: then its autoscaler has seen that.",
    )
    goes_at: Time | None = Field(
        default=None,
        description="Previous: when its replicas go. Fallback: when they would have, while it is the candidate again.",
    )
    template: Template = Field(description="What its pods are made from.")


class PlannedStep(StatusModel):
    """A step of the running rollout."""

    weight: int = Field(description="Percent of the requests for the candidate.")
    mirror: int | None = Field(default=None, description="Percent of the requests that the candidate gets copies of.")
    headers: dict[str, str] | None = Field(
        default=None, description="Requests with these headers always go to the candidate."
    )
    hold: str = Field(default="0s", description="How long the step lasts.")
    approval: bool = Field(default=False, description="Whether it waits for a person once its hold is over.")


class Course(StatusModel):
    """The steps and settings that a rollout started with. It runs by them to its end, whatever is declared then."""

    steps: tuple[PlannedStep, ...] = Field(default=(), description="The steps before it gets everything.")
    stable_for: str = Field(default="10s", description="How long replicas are ready before they get traffic.")
    bake: str = Field(default="0s", description="How long it has all traffic before it is promoted.")
    keep_previous: str = Field(default="10m", description="How long the previous revision is kept warm.")
    deadline: str | None = Field(default=None, description="How long it may take until the candidate has all traffic.")
    on_inconclusive: OnInconclusive = Field(default=OnInconclusive.HOLD, description="What happens at the deadline.")
    on_failure: OnFailure = Field(default=OnFailure.ROLLBACK, description="What happens when a check fails.")
    analysis: Analysis | None = Field(default=None, description="What the candidate is judged by.")


class PolicyUse(StatusModel):
    """The RolloutPolicy that a rollout started with."""

    name: str = Field(description="Name of the RolloutPolicy.")
    digest: str = Field(description="First characters of the sha256 of its spec, as it was.")


class Pause(StatusModel):
    """A rollout that stays where it is until somebody decides. Its clocks stand still."""

    reason: Reason = Field(description="Why, in one word.")
    message: str = Field(default="", description="Why, for people.")
    since: Time = Field(description="Since when.")
    next_at: Time | None = Field(default=None, description="When the step's hold would have ended.")
    deadline_at: Time | None = Field(default=None, description="When the rollout's deadline would have been.")
    failed: Reason | None = Field(
        default=None, description="Why the candidate is taken back as soon as the stable revision has a ready replica."
    )


class RolloutStatus(StatusModel):
    """Where the running rollout is."""

    step: int = Field(description="The step whose weight the candidate has, from 1; 0 before the first.")
    steps: int = Field(description="Steps of this rollout.")
    progress: str = Field(description="step/steps.")
    weight: int = Field(description="Percent of the requests that the candidate has by this step.")
    mirror: int | None = Field(default=None, description="Percent of the requests that the candidate gets copies of.")
    course: Course = Field(default=Course(), description="The steps and settings it started with.")
    policy: PolicyUse | None = Field(default=None, description="The RolloutPolicy they are from, if they are.")
    base: int | None = Field(
        default=None, description="Autoscaled: replicas that all the traffic needs, as the stable revision had them."
    )
    started_at: Time = Field(description="When the rollout started.")
    waiting_since: Time | None = Field(
        default=None,
        description="Since when the candidate's replicas are waited for; the startup deadline's clock.",
    )
    trial_since: Time | None = Field(
        default=None, description="When its first step began: a crash of the candidate after that ends the rollout."
    )
    step_started_at: Time | None = Field(
        default=None, description="When the gateway had accepted the step's weight; the step's clock."
    )
    next_at: Time | None = Field(default=None, description="When the step's hold ends.")
    deadline_at: Time | None = Field(default=None, description="When the candidate must have all traffic.")
    warning: str | None = Field(default=None, description="What a gate that only warns says of the candidate.")
    verdict: Verdict | None = Field(default=None, description="What all checks together say of the candidate here.")
    judged_at: Time | None = Field(default=None, description="The moment that the last verdict speaks of.")
    paused: Pause | None = Field(default=None, description="Set while the rollout stays where it is.")
    approved_step: int | None = Field(default=None, description="The step that a person has approved.")
    skip: bool = Field(default=False, description="Whether what is left of the steps is skipped.")
    undo: bool = Field(default=False, description="Whether it goes back to the revision before, by order.")
    had_traffic: bool = Field(default=False, description="Whether the gateway ever sent requests to the candidate.")
    direct_header: str = Field(
        default=DIRECT_HEADER,
        description="Requests with this header and the value stable or candidate reach that one, once step 1 runs.",
    )
    waiting_for: str = Field(default="", description="What the next move waits for.")
    # Text, as it only tells: an operator that does not know the word yet must read the rest.
    waiting_reason: str | None = Field(
        default=None, description="Why it does not move on by now, in one word of the closed set of reasons."
    )


class Share(StatusModel):
    """One revision's share of the traffic, as the gateway has accepted it."""

    revision: str = Field(description="Name of the revision.")
    version: str = Field(description="Model version, such as v12.")
    weight: int = Field(description="Percent of the requests.")
    mirror: int | None = Field(default=None, description="Percent of the requests that it gets copies of.")


class Retiring(StatusModel):
    """A revision that has no traffic any more and goes when its last requests are answered."""

    revision: str = Field(description="Name of the revision.")
    had_traffic: bool = Field(default=True, description="Whether requests may still be under way in it.")
    drained_at: Time | None = Field(
        default=None, description="When it goes; set once the gateway accepted a route that does not name it."
    )


class HistoryEntry(StatusModel):
    """A rollout that ended."""

    version: str = Field(description="Model version, such as v12.")
    revision: str = Field(description="Name of the revision.")
    outcome: Outcome = Field(description="How it ended.")
    reason: Reason = Field(description="Why, in one word.")
    message: str = Field(default="", description="Why, for people.")
    started_at: Time = Field(description="When it started.")
    ended_at: Time = Field(description="When it ended.")


class Rejection(StatusModel):
    """A revision that failed and is not tried again until something about it changes."""

    revision: str = Field(description="Name of the revision.")
    version: str = Field(description="Model version, such as v12.")
    reason: Reason = Field(description="Why, in one word.")
    message: str = Field(default="", description="Why, for people.")
    at: Time = Field(description="When it was rejected.")


class Handled(StatusModel):
    """An order that was carried out, or was not."""

    value: str = Field(description="Value of the annotation.")
    at: Time = Field(description="When.")
    by: str | None = Field(default=None, description="Who gave it, as the command line wrote it.")
    result: Literal["Done", "Refused"] = Field(description="Whether it was carried out.")
    message: str = Field(default="", description="What was done, or why it was not.")


class ModelDeploymentStatus(StatusModel):
    """What serves, since when, why, and what it waits for."""

    observed_generation: int = Field(default=-1, description="metadata.generation that this status speaks of.")
    phase: Phase = Field(default=Phase.PENDING, description="The state in one word.")
    message: str = Field(default="", description="The state in one sentence.")
    conditions: tuple[Condition, ...] = Field(
        default=(),
        description="The state, for machines.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    url: str | None = Field(default=None, description="Where clients reach the model.")
    resolved: Resolved | None = Field(default=None, description="The version that was resolved and is pinned.")
    stable: Revision | None = Field(default=None, description="The revision in use.")
    candidate: Revision | None = Field(default=None, description="The revision that is to take over.")
    previous: Revision | None = Field(default=None, description="The revision before, kept warm after a promotion.")
    fallback: Revision | None = Field(
        default=None, description="The revision before, whose replicas are gone: what undo goes back to."
    )
    rollout: RolloutStatus | None = Field(default=None, description="The running rollout.")
    traffic: tuple[Share, ...] = Field(default=(), description="Shares of the traffic as the gateway has them.")
    analysis: tuple[CheckStatus, ...] = Field(
        default=(), description="What each check says of the candidate, or said of the last one."
    )
    retiring: tuple[Retiring, ...] = Field(default=(), description="Revisions that lost their traffic and drain.")
    history: tuple[HistoryEntry, ...] = Field(default=(), description="Rollouts that ended, newest first.")
    rejected: tuple[Rejection, ...] = Field(default=(), description="Revisions that failed, newest first.")
    handled: dict[str, Handled] = Field(
        default={}, description="The last order of each kind: approve, promote, abort, retry, pause, resume, undo."
    )
