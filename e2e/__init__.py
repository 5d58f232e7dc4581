"""End-to-end: a real cluster, what is installed onto it, and the scenarios that are played on it."""

import os

# Where programs of administrators are: who becomes root by a plain `su` keeps a user's PATH, without these.
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_PATH = os.environ.get("PATH") or os.defpath
os.environ["PATH"] = os.pathsep.join(dict.fromkeys([*_PATH.split(os.pathsep), *_SBIN]))
