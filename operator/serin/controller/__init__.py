"""The ring around the core: watches, the queue, the gathering of facts and the carrying out of decisions.

The only user of kopf, and the place where everything is put together (``app``).
"""
