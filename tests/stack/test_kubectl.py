"""What the API server refuses for a moment only is asked of it again; kubectl is played."""

from pathlib import Path

import pytest

from e2e import tools
from e2e.stack.kubectl import Kubectl
from e2e.stack.kubectl import KubectlError

_REFUSED = 'failed calling webhook "validator.kserve": Post "https://webhook.kserve.svc": '
_OBJECT = '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one", "uid": "u"}}'


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kubectl:
    """Notes how often it was asked to apply, and refuses once for the reason in the file `refuses`."""
    played = tmp_path / "kubectl"
    played.write_text(
        "#!/bin/sh\n"
        f"cd {tmp_path}\n"
        'case "$3" in apply) ;; *) exit 0 ;; esac\n'
        "echo apply >> asked\n"
        "if [ -e refuses ]; then cat refuses >&2; rm refuses; exit 1; fi\n"
        f"echo '{_OBJECT}'\n"
    )
    played.chmod(0o755)
    monkeypatch.setattr(tools, "binary", lambda name: played)
    monkeypatch.setattr("e2e.stack.kubectl._POLL_SECONDS", 0.0)
    return Kubectl(tmp_path / "kubeconfig")


@pytest.mark.parametrize("reason", ["dial tcp 10.96.85.67:443: connect: connection refused", "no endpoints available"])
def test_a_webhook_that_cannot_be_reached_yet_is_asked_again(kubectl: Kubectl, tmp_path: Path, reason: str) -> None:
    (tmp_path / "refuses").write_text(_REFUSED + reason)
    (applied,) = kubectl.apply([{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}}])
    assert applied.changed
    assert (tmp_path / "asked").read_text().count("apply") == 2


@pytest.mark.parametrize("reason", ["admission webhook denied the request", "connection refused"])
def test_what_a_webhook_refuses_is_refused(kubectl: Kubectl, tmp_path: Path, reason: str) -> None:
    (tmp_path / "refuses").write_text(reason)
    with pytest.raises(KubectlError, match=reason):
        kubectl.apply([{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}}])
    assert (tmp_path / "asked").read_text().count("apply") == 1


def test_a_webhook_that_is_never_reached_is_told(
    kubectl: Kubectl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("e2e.stack.kubectl._WEBHOOK_SECONDS", -1.0)
    (tmp_path / "refuses").write_text(_REFUSED + "connection refused")
    with pytest.raises(KubectlError, match="failed calling webhook"):
        kubectl.apply([{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}}])
