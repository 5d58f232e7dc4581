"""What Serin costs, measured against a real API server with KServe's real admission and controller.

``python -m bench`` starts everything itself, prints a Markdown table and keeps it in ``results.md``. Each module
measures one thing; ``stage`` is what they all stand on. Nothing here looks into the operator: it is a child process,
and what it did is read from the API server's audit log, from /proc and from its metrics, as an outsider sees it.
"""
