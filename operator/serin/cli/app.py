"""``serin`` and ``kubectl serin``: the commands put together, and what an error looks like.

Exit codes, which scripts may rely on:

0  done; of status and watch --until settled: settled, or on its way
1  an error: no cluster, no permission, a wrong manifest
2  the command line was wrong
3  there is no such ModelDeployment
4  status and watch --until settled: rolled back, failed or suspended, so that somebody has to do something; of status
   also while nobody is served, or a registry is away: watch waits for what passes by itself
5  timed out; what was asked for may still happen
6  an order was refused, here or by the operator
130  ended by Ctrl-C; an order that was given stands
"""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from pathlib import Path
from typing import Annotated
from typing import Any

import typer
from typer.core import TyperGroup

from serin import nesting
from serin.cli import terminal
from serin.cli.arguments import arranged
from serin.cli.exits import MEANINGS
from serin.cli.exits import CommandError
from serin.cli.exits import Exit
from serin.cli.history import history
from serin.cli.orders import command
from serin.cli.render import render
from serin.cli.report.command import report
from serin.cli.status import status
from serin.cli.verbs import VERBS
from serin.cli.watch import watch
from serin.cli.why import why
from serin.errors import ClusterError

# Set to see where an error that nobody foresaw came from.
DEBUG = "SERIN_DEBUG"
HERE = Path(__file__).parents[1]
PLUGIN = "kubectl-serin"
# What kubectl reads after a plugin's completions: that file names are none (cobra's ShellCompDirectiveNoFileComp).
NO_FILES = ":4"


class Guarded(TyperGroup):
    """A command ends with an exit code and a sentence, never with a stack trace."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the arguments as kubectl takes them."""
        return super().parse_args(ctx, arranged(args))

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except CommandError as stop:
            terminal.tell(stop)
            raise typer.Exit(stop.code) from stop
        except ClusterError as error:
            terminal.tell(CommandError(error.message))
            raise typer.Exit(1) from error
        except (OSError, EOFError):
            # A pipe that was closed: typer ends it quietly. A disk that is full, a terminal that went: main tells.
            raise
        except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
            if os.environ.get(DEBUG):
                raise
            terminal.tell(_bug(error))
            raise typer.Exit(1) from error


def _bug(error: Exception) -> CommandError:
    """What is said of an error that nobody foresaw: its kind and where. Its words may hold a secret: what a library
    names when it refuses a value may be a token."""
    ours = [one for one in traceback.extract_tb(error.__traceback__) if HERE in Path(one.filename).parents]
    place = f" at {Path(ours[-1].filename).relative_to(HERE)} line {ours[-1].lineno}" if ours else ""
    return CommandError(
        f"this is a bug in serin, please report it: {type(error).__name__}{place}",
        f"{DEBUG}=1 shows all of it; look for secrets in that before you pass it on.",
    )


app = typer.Typer(
    cls=Guarded,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    # kubectl's plugins are asked for help as kubectl is.
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Model versions on their way to users: see where they are, and say how they go on.",
    epilog="\b\nExit codes:\n" + "\n".join(f"  {code.value}  {meaning}" for code, meaning in MEANINGS.items()),
)


def _version(asked: bool) -> None:
    if not asked:
        return
    # Imported here: nobody else needs it.
    from importlib import metadata

    try:
        found = metadata.version("serin")
    except metadata.PackageNotFoundError:
        found = "from a checkout that is not installed"
    sys.stdout.write(f"serin {found}\n")
    raise typer.Exit


@app.callback()
def options(
    which: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Show the version.")
    ] = False,
) -> None:
    """What stands before the verbs."""


app.command()(status)
app.command()(watch)
for verb in VERBS:
    app.command(verb.word)(command(verb))
app.command()(history)
app.command()(why)
app.command()(report)
app.command()(render)


def main() -> None:
    """The entry point of both scripts."""
    terminal.bear_any_output()
    nesting.allow_any()
    called = Path(sys.argv[0]).name
    try:
        try:
            app(prog_name="kubectl serin" if called.startswith(PLUGIN) else "serin")
        finally:
            # Python would do so after the exit code is chosen, and say what goes wrong in its own words.
            sys.stdout.flush()
    except OSError as error:
        terminal.give_up_output()
        if not isinstance(error, BrokenPipeError):
            terminal.tell(CommandError(f"{error.filename or 'the output'} cannot be written: {error.strerror}"))
        sys.exit(Exit.ERROR)


def complete() -> None:
    """The entry point of ``kubectl_complete-serin``, which kubectl asks for what may stand in place of the last word.

    https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/#distributing-kubectl-plugins
    """
    words = sys.argv[1:]
    os.environ |= {
        "_SERIN_COMPLETE": "complete_bash",
        "COMP_WORDS": shlex.join(["serin", *words]),
        "COMP_CWORD": str(len(words)),
    }
    try:
        app(prog_name="serin")
    finally:
        sys.stdout.write(f"{NO_FILES}\n")
