"""The judge, pure: from counts of requests to a verdict on the candidate, with evidence that may be looked at any time.

``rollout`` calls :func:`serin.analysis.verdict.judge` with what ``metrics`` measured; ``queries`` and ``runtimes`` say
what is to be asked of Prometheus. Nothing here knows a clock, a network or a rollout.
"""
