"""docker-archives: which images are in one, and images made by hand: one static program in one layer.

Those need no builder and no registry. The pause image is one.
"""

import hashlib
import io
import json
import tarfile
from pathlib import Path


def tags_of(archive: Path) -> tuple[bytes, list[str]]:
    """The manifest of a docker-archive, which changes with any of its content, and the names of its images.

    Raises:
        OSError, tarfile.TarError, KeyError, ValueError: it is not one.
    """
    with tarfile.open(archive) as tar:
        member = tar.extractfile("manifest.json")
        if member is None:
            raise KeyError("manifest.json is not a file")
        manifest = member.read()
    return manifest, [tag for image in json.loads(manifest) for tag in image["RepoTags"] or ()]


def write_image(archive: Path, program: Path, reference: str) -> None:
    """Write a docker-archive whose only file is `program`, which it runs."""
    layer = _tar({program.name: program.read_bytes()}, mode=0o755)
    config = json.dumps(
        {
            "architecture": _architecture(program),
            "os": "linux",
            "config": {"Entrypoint": [f"/{program.name}"], "User": "65535:65535"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }
    ).encode()
    # Named by its content, as the builders do.
    file = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps([{"Config": file, "RepoTags": [reference], "Layers": ["layer.tar"]}]).encode()
    archive.write_bytes(_tar({file: config, "layer.tar": layer, "manifest.json": manifest}))


def _tar(files: dict[str, bytes], mode: int = 0o644) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = mode
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _architecture(program: Path) -> str:
    """From the ELF header, as Go and Docker name it."""
    machine = int.from_bytes(program.read_bytes()[18:20], "little")
    return {0x3E: "amd64", 0xB7: "arm64"}[machine]
