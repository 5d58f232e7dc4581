"""End-to-end: a real cluster, what is installed onto it, and the scenarios that are played on it."""
