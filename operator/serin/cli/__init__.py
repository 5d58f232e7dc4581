"""The command line ``serin``: shows one ModelDeployment as it is, explains it, and carries orders to it.

One verb or noun a file. What is shown comes from the status alone, orders are annotations, and ``render`` runs the
operator's own pure code: nothing here decides. Neither kopf nor MLflow is imported, and the kubernetes client only by
``cluster``, and only once a command asks a cluster.
"""
