"""The pure core: from everything there is to know about one ModelDeployment to what shall be done.

``decide(observed, now)`` is the only way in. Nothing here reads a clock, a network, a log or an environment;
import-linter keeps it so.
"""
