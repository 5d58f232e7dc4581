"""Which namespaces may name a registry: ``metav1.LabelSelector`` over a namespace's labels. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from serin.api.modelregistry import NamespaceSelector
from serin.api.modelregistry import SelectorRequirement


def selects(selector: NamespaceSelector | None, labels: Mapping[str, str]) -> bool:
    """Whether a namespace with these labels is selected. No selector, and an empty one, select all."""
    if selector is None:
        return True
    return all(labels.get(key) == value for key, value in selector.match_labels.items()) and all(
        _holds(requirement, labels) for requirement in selector.match_expressions
    )


def _holds(requirement: SelectorRequirement, labels: Mapping[str, str]) -> bool:
    """One expression, as k8s.io/apimachinery/pkg/labels reads it: NotIn also holds where the label is missing."""
    match requirement.operator:
        case "In":
            return labels.get(requirement.key) in requirement.values
        case "NotIn":
            return labels.get(requirement.key) not in requirement.values
        case "Exists":
            return requirement.key in labels
        case "DoesNotExist":
            return requirement.key not in labels
