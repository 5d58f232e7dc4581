"""The ring around the core: watches, the queue, the gathering of facts and the carrying out of decisions.

The only user of kopf, and the place where everything is put together (``app``).
"""

# First of all, before kopf: it decides how much of the kubernetes client is loaded.
import serin.cluster  # noqa: F401
