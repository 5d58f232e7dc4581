"""What people write and read: the three kinds of the API as pydantic models, and the CRDs made from them.

The lowest layer but ``errors``: it knows no cluster, no clock and no network.
"""
