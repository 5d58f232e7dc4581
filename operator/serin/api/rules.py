"""What no JSON schema can say of the kinds, in CEL: each rule's message names the field and the remedy."""

from __future__ import annotations

from pydantic.alias_generators import to_camel

from serin.api.analysis import ANALYSIS_RULES
from serin.api.gates import GATE_RULES
from serin.api.modeldeployment import ENV_ONCE_RULE
from serin.api.modeldeployment import ENV_SIZE_RULE
from serin.api.modeldeployment import GATEWAY_DURATION_PATTERN
from serin.api.modeldeployment import GATEWAY_DURATION_RULE
from serin.api.modeldeployment import GATEWAYS_RULE
from serin.api.modeldeployment import NAME_MAX_LENGTH
from serin.api.modeldeployment import NAME_PATTERN
from serin.api.modeldeployment import RESERVED_ENV
from serin.api.modeldeployment import SHORTEST_STARTUP
from serin.api.modeldeployment import STORED_BYTES
from serin.api.quantities import LONGEST
from serin.api.rollout import DIRECT_HEADER
from serin.api.rollout import HEADER_NAME_LENGTH
from serin.api.rollout import HEADER_NAME_PATTERN
from serin.api.rollout import LONGEST_READINESS
from serin.api.rollout import Rollout

Rules = dict[tuple[str, ...], list[dict[str, str]]]
"""By the path of the schema they stand at; '[]' is a list's element."""


def _at_most(field: str, limit: str, where: str) -> dict[str, str]:
    """A limit of a duration that may be left out."""
    return {
        "rule": f"!has(self.{field}) || duration(self.{field}) <= duration('{limit}')",
        "message": f"{where}{field} must be at most {limit}",
    }


def rollout_rules(path: tuple[str, ...]) -> Rules:
    """Rules of a rollout's settings, inline or as a policy. No member has a default: what is not written is absent."""
    where = ".".join(path)
    return {
        path: [
            {
                "rule": "!has(self.steps) || self.steps.map(step, step.weight).isSorted()",
                "message": f"weights of {where}.steps must not fall from one step to the next",
            },
            *(_at_most(field, LONGEST, f"{where}.") for field in ("bake", "keepPrevious", "deadline")),
            {
                "rule": "!has(self.deadline) || duration(self.deadline) > duration('0s')",
                "message": f"{where}.deadline must be above 0s; leave it out for none",
            },
            {
                "rule": "!has(self.analysis) || self.analysis.checks.size() > 0",
                "message": f"{where}.analysis needs {where}.analysis.checks: without one nothing is judged; "
                "add one, or leave analysis out",
            },
            {
                "rule": "!has(self.onFailure) || has(self.analysis)",
                "message": f"{where}.onFailure says what happens when a check fails: set {where}.analysis, too",
            },
            {
                "rule": "!has(self.onInconclusive) || has(self.deadline)",
                "message": f"{where}.onInconclusive says what happens at the deadline: set {where}.deadline, too",
            },
        ],
        **{
            (*path, "analysis", *below): [{**rule, "message": f"{where}.analysis: {rule['message']}"} for rule in rules]
            for below, rules in ANALYSIS_RULES.items()
        },
        **{
            (*path, "gates", *below): [{**rule, "message": f"{where}.gates: {rule['message']}"} for rule in rules]
            for below, rules in GATE_RULES.items()
        },
        (*path, "steps", "[]"): [
            _at_most("hold", LONGEST, f"{where}.steps[]."),
            {
                "rule": "has(self.hold) || (has(self.approval) && self.approval)",
                "message": f"hold of {where}.steps must be set, or approval: true for a step that only a person ends",
            },
        ],
        (*path, "steps", "[]", "match"): [
            {
                "rule": f'self.headers.all(name, name.matches("{HEADER_NAME_PATTERN}") && '
                f"name.size() <= {HEADER_NAME_LENGTH})",
                "message": f"match.headers of {where}.steps must be names of HTTP headers",
            },
            {
                "rule": f"self.headers.all(name, name.lowerAscii() != '{DIRECT_HEADER}')",
                "message": f"match.headers of {where}.steps must not be {DIRECT_HEADER}: "
                "it always reaches the revision that it names",
            },
            {
                "rule": "self.headers.all(name, "
                "self.headers.exists_one(other, other.lowerAscii() == name.lowerAscii()))",
                "message": f"match.headers of {where}.steps must name each header once, whatever its case",
            },
        ],
        (*path, "readiness"): [_at_most("stableFor", LONGEST_READINESS, f"{where}.readiness.")],
    }


MODEL_DEPLOYMENT_RULES: Rules = {
    (): [
        {
            "rule": f"self.metadata.name.size() <= {NAME_MAX_LENGTH} && self.metadata.name.matches('{NAME_PATTERN}')",
            "message": f"metadata.name must be at most {NAME_MAX_LENGTH} lower case letters, digits and '-', "
            "begin with a letter and end with a letter or digit: it becomes part of host names",
        }
    ],
    ("spec", "model"): [
        {
            "rule": "has(self.version) != has(self.alias)",
            "message": "exactly one of spec.model.version and spec.model.alias must be set: "
            "a version stays, an alias is followed",
        }
    ],
    ("spec", "serving"): [
        {
            "rule": "!has(self.maxReplicas) || self.maxReplicas >= self.minReplicas",
            "message": "spec.serving.maxReplicas must not be below spec.serving.minReplicas (default 1)",
        },
        {
            "rule": "!has(self.scaling) || (has(self.maxReplicas) && self.maxReplicas > self.minReplicas)",
            "message": "spec.serving.scaling needs spec.serving.maxReplicas above spec.serving.minReplicas",
        },
        {
            "rule": f"duration(self.startupDeadline) >= duration('{SHORTEST_STARTUP}') "
            f"&& duration(self.startupDeadline) <= duration('{LONGEST}')",
            "message": f"spec.serving.startupDeadline must be at least {SHORTEST_STARTUP} and at most {LONGEST}",
        },
        # KServe's own schema refuses two of a name, long after this.
        {
            "rule": "self.env.all(one, self.env.exists_one(other, other.name == one.name))",
            "message": f"spec.serving.{ENV_ONCE_RULE}",
        },
        {
            "rule": f"self.env.map(one, has(one.value) ? one.value.size() : 0).sum() <= {STORED_BYTES}",
            "message": f"spec.serving: {ENV_SIZE_RULE}",
        },
    ],
    ("spec", "serving", "env", "[]"): [
        {
            "rule": "has(self.value) != has(self.valueFrom)",
            "message": "exactly one of value and valueFrom must be set for each variable of spec.serving.env",
        },
        {
            "rule": f"!(self.name in {list(RESERVED_ENV)})",
            "message": f"spec.serving.env must not set {', '.join(RESERVED_ENV)}: "
            "the operator sets these, or the backend refuses them; use spec.serving.workers for processes",
        },
    ],
    ("spec", "serving", "env", "[]", "valueFrom"): [
        {
            "rule": "[has(self.secretKeyRef), has(self.configMapKeyRef), has(self.fieldRef)].filter(x, x).size() == 1",
            "message": "exactly one of secretKeyRef, configMapKeyRef and fieldRef must be set in valueFrom",
        }
    ],
    ("spec", "traffic"): [
        {
            "rule": f"duration(self.timeout) > duration('0s') && duration(self.timeout) <= duration('{LONGEST}')",
            "message": f"spec.traffic.timeout must be above 0s and at most {LONGEST}",
        },
        # What HTTPRoute refuses, so that a route can always be written: it is by a write that traffic is taken away.
        {
            "rule": f"self.timeout.matches('{GATEWAY_DURATION_PATTERN}')",
            "message": f"spec.traffic.{GATEWAY_DURATION_RULE}",
        },
        {
            "rule": "self.gateways.all(one, self.gateways.exists_one(other, other.name == one.name "
            "&& other.__namespace__ == one.__namespace__ "
            "&& (!has(other.sectionName) || !has(one.sectionName) || other.sectionName == one.sectionName)))",
            "message": f"spec.traffic.{GATEWAYS_RULE}",
        },
    ],
}

MODEL_REGISTRY_RULES: Rules = {
    ("spec",): [
        {
            "rule": "duration(self.pollInterval) >= duration('1s') && duration(self.pollInterval) <= duration('1h')",
            "message": "spec.pollInterval must be at least 1s and at most 1h",
        },
        {
            "rule": "!has(self.tls) || self.url.startsWith('https://')",
            "message": "spec.tls needs a spec.url that begins with https://",
        },
    ],
    ("spec", "allowedNamespaces", "matchExpressions", "[]"): [
        {
            "rule": "self.operator in ['In', 'NotIn'] ? (has(self.values) && self.values.size() > 0) "
            ": (!has(self.values) || self.values.size() == 0)",
            "message": "values must be set for In and NotIn, and must not be set for Exists and DoesNotExist",
        }
    ],
}

POLICY_ALONE = {
    "rule": "!has(self.policy) || !("
    + " || ".join(f"has(self.{to_camel(field)})" for field in sorted(Rollout.model_fields))
    + ")",
    "message": "spec.rollout.policy must stand alone: what stands beside it belongs into the RolloutPolicy",
}
MODEL_DEPLOYMENT_RULES |= rollout_rules(("spec", "rollout"))
MODEL_DEPLOYMENT_RULES["spec", "rollout"].append(POLICY_ALONE)
ROLLOUT_POLICY_RULES: Rules = rollout_rules(("spec",))
