"""The course of a rollout: its steps and settings as they were when it started, and what follows from them."""

from __future__ import annotations

from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.quantities import seconds
from serin.api.rollout import Rollout
from serin.api.rollout import Step
from serin.api.status import Course
from serin.api.status import PlannedStep

ALL = 100
NOW = "0s"


def course_of(rollout: Rollout) -> Course:
    """What the status keeps of the settings while a rollout runs by them."""
    return Course(
        steps=tuple(_planned(step) for step in rollout.steps),
        stable_for=rollout.readiness.stable_for,
        bake=rollout.bake,
        keep_previous=rollout.keep_previous,
        deadline=rollout.deadline,
        on_inconclusive=rollout.on_inconclusive,
        on_failure=rollout.on_failure,
        analysis=rollout.analysis,
    )


def first_course(rollout: Rollout) -> Course:
    """The course of a first version: there is nothing to compare it with and nothing to go back to."""
    return Course(stable_for=rollout.readiness.stable_for, keep_previous=rollout.keep_previous)


def stages(course: Course) -> tuple[PlannedStep, ...]:
    """What the candidate goes through before it is promoted: the steps, and a bake where there is one."""
    if seconds(course.bake) == 0:
        return course.steps
    return (*course.steps, PlannedStep(weight=ALL, hold=course.bake))


def bakes(course: Course, step: int) -> bool:
    """Whether this step is the bake."""
    return step > len(course.steps)


def crowd(spec: ModelDeploymentSpec, base: int | None) -> int:
    """Replicas that all the traffic needs: the declared number, or what an autoscaler found to be needed."""
    serving = spec.serving
    return serving.min_replicas if base is None else min(max(serving.min_replicas, base), serving.most_replicas)


def _planned(step: Step) -> PlannedStep:
    return PlannedStep(
        weight=step.weight,
        mirror=step.mirror,
        headers=dict(step.match.headers) if step.match is not None else None,
        hold=step.hold or NOW,
        approval=step.approval,
    )
