"""Settings of all tests: hypothesis finds the same in every run of a commit, and looks further when asked to.

HYPOTHESIS_PROFILE=thorough takes minutes and begins anew each time: for a change of the core, on one's own machine.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import cast

from hypothesis import HealthCheck
from hypothesis import Phase
from hypothesis import settings

# Not the phase that explains a failure: it traces every line, which makes the failure of a long history wait for hours.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)

settings.register_profile(
    "default",
    derandomize=True,
    deadline=None,
    max_examples=100,
    stateful_step_count=40,
    phases=PHASES,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "thorough",
    deadline=None,
    max_examples=5000,
    stateful_step_count=80,
    phases=PHASES,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
# A mistake is looked for, not its shortest history.
settings.register_profile(
    "mutants", parent=settings.get_profile("default"), phases=(Phase.explicit, Phase.generate), database=None
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# The MLflow library looks for Databricks at every request, and pytest makes an import that fails slow.
for absent in ("dbruntime", "pyspark"):
    sys.modules.setdefault(absent, cast("ModuleType", None))
