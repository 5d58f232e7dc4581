"""Programs this repository builds from source, each from a Go module of its own with a pinned version and sums.

`build("etcd")` gives the binaries, `binary("kubelet")` one of them, `module_folder(...)` the unpacked source where CRDs
and manifests are. Knows nothing of clusters: it can build, cache and find, and that is all.
"""

from e2e.tools.builds import TOOLS
from e2e.tools.builds import binary
from e2e.tools.builds import build
from e2e.tools.golang import ToolError
from e2e.tools.golang import module_folder
from e2e.tools.golang import module_version

__all__ = ["TOOLS", "ToolError", "binary", "build", "module_folder", "module_version"]
