"""The API group that all our kinds belong to. It stands by itself: who asks for it needs no models."""

from __future__ import annotations

GROUP = "serin.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
