"""Serin takes MLflow model versions to Kubernetes users a few percent of traffic at a time."""
