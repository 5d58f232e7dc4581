"""The `go` command and the Go modules beside this file: which versions they pin and where their source lies.

The lowest module of e2e/tools. It must not know what the programs are for.
"""

import functools
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
_REMEDY = (
    "install Go {wanted} or newer (https://go.dev/dl/, or your distribution's `golang` package) and put it on PATH"
)


class ToolError(RuntimeError):
    """A tool cannot be built or its source not be had; the message says which, why and what to do."""


def module_version(tool: str, module: str) -> str:
    """The version of `module` that e2e/tools/<tool>/go.mod pins, like "v1.36.3"."""
    text = (HERE / tool / "go.mod").read_text()
    found = re.search(rf"^(?:require)?\s+{re.escape(module)} (v\S+)", text, re.MULTILINE)
    if found is None:
        raise ToolError(
            f"{HERE / tool / 'go.mod'} does not require {module}: add the line `require {module} <version>`"
        )
    return found.group(1)


@functools.cache
def module_folder(tool: str, module: str) -> Path:
    """The folder with the source of `module` as pinned by e2e/tools/<tool>, downloaded and verified when needed."""
    go = go_command(tool)
    answer = subprocess.run(
        [go, "mod", "download", "-json", module],
        cwd=HERE / tool,
        env=environment(),
        check=False,
        capture_output=True,
        text=True,
    )
    if answer.returncode != 0:
        # With -json the reason stands in the output, not on stderr.
        raise ToolError(f"cannot download {module} for {tool}: {(answer.stderr or answer.stdout).strip()}")
    return Path(json.loads(answer.stdout)["Dir"])


def go_command(tool: str) -> str:
    """The `go` that can build `tool`.

    Raises:
        ToolError: there is none, or it is older than the module asks for and may not fetch a newer one.
    """
    wanted = _go_directive(tool)
    go = shutil.which("go")
    if go is None:
        raise ToolError(f"{tool} is built from source and `go` is not on PATH: {_REMEDY.format(wanted=wanted)}")
    # In the module's folder: there an older go fetches the toolchain the module asks for, unless told not to.
    answer = subprocess.run(
        [go, "version"], cwd=HERE / tool, env=environment(), check=False, capture_output=True, text=True
    )
    version = re.search(r"go(\d+)\.(\d+)", answer.stdout)
    if answer.returncode != 0 or version is None or _pair(f"{version[1]}.{version[2]}") < _pair(wanted):
        said = (answer.stdout or answer.stderr).strip()
        raise ToolError(f"{tool} needs Go {wanted}, and {go} says {said!r}: {_REMEDY.format(wanted=wanted)}")
    return go


def environment() -> dict[str, str]:
    """The environment of every `go` run: static binaries, and go.mod and go.sum taken as they are."""
    return {
        **os.environ,
        # Go finds its caches by it alone, and a service has none.
        "HOME": str(Path.home()),
        "CGO_ENABLED": "0",
        "GO111MODULE": "on",
        "GOFLAGS": "-mod=readonly -buildvcs=false",
        "GOWORK": "off",
    }


def _go_directive(tool: str) -> str:
    found = re.search(r"^go (\d+\.\d+)", (HERE / tool / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise ToolError(f"{HERE / tool / 'go.mod'} has no `go` line")
    return found.group(1)


def _pair(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)
