"""What the Python client says, in words that may be shown."""

from __future__ import annotations

import re

ENTRY = re.compile(r"\{.*\}", re.DOTALL)


def in_one_line(error: Exception) -> str:
    """Its words, or its kind where it has none."""
    return " ".join(without_secrets(str(error)).split()) or type(error).__name__


def without_secrets(words: str) -> str:
    """The Python client calls an entry of a kubeconfig by all that stands in it, tokens and passwords too
    (kubernetes/config/kube_config.py KubeConfigMerger._merge)."""
    return ENTRY.sub("{...}", words) if "kube-config" in words else words
