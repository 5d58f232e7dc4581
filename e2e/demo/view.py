"""What is seen while the story plays: the deployment's own words, declared and counted shares, and who answered.

On a terminal a picture that is renewed a few times a second; otherwise plain lines.
"""

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.console import Group
from rich.console import RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from e2e.demo.chart import COLOURS
from e2e.demo.chart import FAILED
from e2e.demo.chart import chart
from e2e.demo.chart import seconds_per_column
from e2e.demo.scene import NAME
from e2e.demo.scene import NAMESPACE
from e2e.demo.story import Note
from e2e.demo.story import Story
from e2e.traffic import by_version

_CHART_HEIGHT = 8
# Lines of everything but the notes.
_REST_HEIGHT = 22
_BAR = 44
_RECENT_SECONDS = 5.0
_VERSIONS = ("v1", "v2", "v3")
# Text needs a console to be broken into lines, whatever console that is.
_MEASURING = Console(file=io.StringIO())


@dataclass(frozen=True)
class Size:
    """How much room there is."""

    width: int = 104
    height: int = 30

    @classmethod
    def of(cls, console: Console) -> "Size":
        """That of the terminal, if it is smaller."""
        most = cls()
        return cls(min(most.width, console.width), min(most.height, console.height)) if console.is_terminal else most

    @property
    def inner(self) -> int:
        """Columns inside the frame."""
        return self.width - 4

    @property
    def notes(self) -> int:
        """Lines for the last notes."""
        return max(2, self.height - _REST_HEIGHT)


def picture(story: Story, size: Size) -> RenderableType:
    """All of it, as it is at this moment."""
    parts = (*_timeline(story, size), Text(), *_told(story, size))
    return Panel(
        Group(*_state(story, size), Text(), _shares(story), Text(), *parts),
        title=f"[bold]Serin[/]  {NAMESPACE}/{NAME}",
        title_align="left",
        subtitle=_requests(story),
        subtitle_align="left",
        border_style="grey50",
        width=size.width,
        padding=(0, 1),
    )


@contextmanager
def live(console: Console, story: Story) -> Iterator[None]:
    """Show the picture while the block runs, or nothing more than the notes where there is no terminal."""
    if not console.is_terminal:
        yield
        return
    with Live(get_renderable=lambda: picture(story, Size.of(console)), console=console, refresh_per_second=4):
        yield


def plain(console: Console, story: Story, note: Note) -> None:
    """A note as a line."""
    if not console.is_terminal:
        counts = ", ".join(f"{version} {count}" for version, count in sorted(_recent(story).items()))
        answered = f"  [answered in the last {_RECENT_SECONDS:.0f} s: {counts}]" if counts else ""
        console.print(f"{note.at - story.began:6.1f} s  {note.text}{answered}", markup=False, soft_wrap=True)


def _state(story: Story, size: Size) -> list[Text]:
    """Phase and message: two lines, whatever they say, so that nothing below moves."""
    seen = story.watch.latest
    if seen is None:
        return [Text("nothing is declared yet", style="grey62"), Text()]
    colour = {"Healthy": "green", "RolledBack": "red", "Failed": "red"}.get(seen.phase, "yellow")
    line = Text.assemble((seen.phase or "-", f"bold {colour}"), "  ", (seen.message, "grey70"))
    wrapped = list(line.wrap(_MEASURING, size.inner))
    return [*wrapped, Text()][:2]


def _shares(story: Story) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("version")
    table.add_column("declared", justify="right")
    table.add_column(f"counted, last {_RECENT_SECONDS:.0f} s", justify="right")
    table.add_column("", width=_BAR)
    table.add_column("answered", justify="right")
    seen, recent = story.watch.latest, _recent(story)
    weights, total = seen.weights if seen else {}, sum(recent.values())
    answered = by_version(story.traffic.answers())
    for version in _VERSIONS:
        share = recent.get(version, 0) / total if total else 0.0
        bar = Text().append(" " * round(_BAR * share), style=f"on {COLOURS[version]}")
        counted = f"{100 * share:.1f} %" if total else "-"
        name = Text(version, style=f"bold {COLOURS[version]}")
        table.add_row(name, f"{weights.get(version, 0)} %", counted, bar, f"{answered.get(version, 0):,}")
    return table


def _recent(story: Story) -> dict[str, int]:
    return dict(by_version(story.traffic.recent(_RECENT_SECONDS)))


def _timeline(story: Story, size: Size) -> Iterator[RenderableType]:
    start, end = story.clock, story.ended_at or time.time()
    column_seconds = seconds_per_column(end - start, size.inner)
    yield from chart(story.traffic.answers(), start, end, size.inner, _CHART_HEIGHT)
    yield _axis(column_seconds, size)
    yield _marks(story, column_seconds, size)


def _axis(column_seconds: float, size: Size) -> Text:
    """A tick with its time every ten columns."""
    moments = [int(column * column_seconds) for column in range(0, size.inner, 10)]
    ticks = [f"╵{moment // 60}:{moment % 60:02}" for moment in moments]
    return Text("".join(f"{tick:<10}" for tick in ticks)[: size.inner], style="grey42")


def _marks(story: Story, column_seconds: float, size: Size) -> Text:
    """What happened, beneath the column in which it did; what finds no room is left out."""
    line = ""
    for note in story.notes:
        column = int((note.at - story.clock) / column_seconds)
        if note.mark and column >= len(line) and column + len(note.mark) + 1 <= size.inner:
            line = f"{line:<{column}}▴{note.mark} "
    return Text(line, style="grey70")


def _told(story: Story, size: Size) -> Iterator[RenderableType]:
    lines = story.notes[-size.notes :]
    for note in lines:
        moment = f"{max(0.0, note.at - story.clock):5.1f} s  "
        yield Text.assemble((moment, "grey42"), note.text, no_wrap=True, overflow="ellipsis")
    yield from (Text() for _ in range(size.notes - len(lines)))


def _requests(story: Story) -> str:
    answers = story.traffic.answers()
    failed = len(story.traffic.failures)
    colour = FAILED if failed else "green"
    times = sorted(answer.seconds for answer in answers) or [0.0]
    middle, slow = times[len(times) // 2], times[int(len(times) * 0.99)]
    return (
        f"{len(answers):,} requests through the gateway, [{colour}]{failed} failed[/]; "
        f"half within {1000 * middle:.0f} ms, 99 % within {1000 * slow:.0f} ms"
    )
