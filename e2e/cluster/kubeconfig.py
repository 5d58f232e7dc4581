"""Write a kubeconfig from a server's address and the files of a client's certificate."""

import base64
import json
from pathlib import Path

from e2e.cluster.files import write


def write_kubeconfig(path: Path, server: str, pki: Path, client: str, name: str = "serin") -> Path:
    """A kubeconfig with everything in it, so that it can be copied elsewhere. JSON is YAML."""
    cluster = {"server": server, "certificate-authority-data": _encoded(pki / "ca.crt")}
    user = {
        "client-certificate-data": _encoded(pki / f"{client}.crt"),
        "client-key-data": _encoded(pki / f"{client}.key"),
    }
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    write(path, json.dumps(config, indent=1), mode=0o600)
    return path


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
