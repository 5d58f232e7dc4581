"""An environment comes to be wherever pip could make one, though uv is asked first."""

import base64
import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from e2e import environment


def wheel(folder: Path) -> Path:
    """A distribution with the module `tiny`."""
    file = folder / "tiny-1.0-py3-none-any.whl"
    content = {
        "tiny.py": "WHO = 'tiny'\n",
        "tiny-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        "tiny-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    hashes = {name: hashlib.sha256(text.encode()).digest() for name, text in content.items()}
    record = [f"{name},sha256={base64.urlsafe_b64encode(one).decode().rstrip('=')}," for name, one in hashes.items()]
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in {**content, "tiny-1.0.dist-info/RECORD": "\n".join(record)}.items():
            archive.writestr(name, text)
    return file


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Names one distribution, which lies where only pip is told to look."""
    (tmp_path / "index").mkdir()
    digest = hashlib.sha256(wheel(tmp_path / "index").read_bytes()).hexdigest()
    file = tmp_path / "tiny.txt"
    file.write_text(f"tiny==1.0 --hash=sha256:{digest}\n")
    (tmp_path / "pip.conf").write_text(f"[global]\nno-index = true\nfind-links = {tmp_path}/index\n")
    # What this machine tells pip by variables has precedence.
    for name in ("PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(environment, "REQUIREMENTS", tmp_path)
    return file


def test_where_uv_cannot_pip_does_the_same(lock: Path) -> None:
    python = environment.interpreter("tiny")
    said = subprocess.run([python, "-c", "import tiny; print(tiny.WHO)"], check=True, capture_output=True, text=True)
    assert said.stdout == "tiny\n"


def test_what_is_not_what_the_lock_names_is_refused(lock: Path) -> None:
    lock.write_text(f"tiny==1.0 --hash=sha256:{'0' * 64}\n")
    for _ in range(2):  # nor is half of it taken for the whole the next time
        with pytest.raises(subprocess.CalledProcessError):
            environment.interpreter("tiny")
