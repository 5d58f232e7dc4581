"""Scenarios that take away what all others need, or count what everybody does: each has the cluster for itself."""
