"""How good the judge is: simulated rollouts, with the field's other judges beside it.

``python -m bench.judge`` draws requests of both revisions, looks at them every 30 seconds for an hour, and counts how
often and how soon each judge rolls back. It prints the table and keeps it in ``bench/judge.md``. ``vector`` is the
product's own arithmetic over arrays; a test holds the two together.
"""
