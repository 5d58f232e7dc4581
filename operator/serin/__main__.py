"""``serin-operator``: starts the operator with the settings of a file and of the environment."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from serin import nesting
from serin.controller.app import run
from serin.controller.telemetry import set_up_logging
from serin.errors import SettingsError
from serin.settings import load

SETTINGS_FILE = "SERIN_SETTINGS"
REMEDY = f"Its settings are in the file that {SETTINGS_FILE} names. The command line is the program serin."


def main() -> int:
    """Run until SIGTERM or SIGINT. Exit code 2 where the settings are wrong, or arguments were given."""
    if sys.argv[1:]:
        # Somebody wants the command line, perhaps in the operator's own pod: a second operator would begin to write.
        print(f"this is the operator, which takes no arguments: {' '.join(sys.argv[1:])}\n{REMEDY}", file=sys.stderr)
        return 2
    named = os.environ.pop(SETTINGS_FILE, None)
    nesting.allow_any()
    try:
        settings = load(Path(named) if named else None)
        set_up_logging(settings.log_level, settings.log_format)
        asyncio.run(run(settings))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is closed. Python itself would wait for the threads that wait for a registry that hangs.
    os._exit(code)
