"""`python -m e2e.demo`: bring everything up, play the story, and say what of it was so. 0 only if all of it was."""

import argparse
import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME

from e2e.cluster import open_cluster
from e2e.cluster.choose import taken_away_by
from e2e.demo.claims import claims
from e2e.demo.claims import stretches
from e2e.demo.scene import NAME
from e2e.demo.scene import NAMESPACE
from e2e.demo.scene import Scene
from e2e.demo.scene import prepare
from e2e.demo.story import Story
from e2e.demo.summary import summary
from e2e.demo.view import Size
from e2e.demo.view import live
from e2e.demo.view import picture
from e2e.demo.view import plain
from e2e.traffic import Traffic
from e2e.up import FAILURES
from e2e.up import look_around
from e2e.watching import NotSeenError
from e2e.watching import Watch

RECORDING = Path(__file__).resolve().parents[2] / "docs" / "images" / "demo.svg"
_REQUESTS_A_SECOND = 60.0
_INTERRUPTED = 130


def main() -> int:
    """Run the demonstration; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m e2e.demo", description=__doc__)
    parser.add_argument("--cluster", help="default: the environment variable SERIN_CLUSTER, or local")
    parser.add_argument("--record", action="store_true", help=f"write the last picture to {RECORDING.name} in docs")
    options = parser.parse_args()
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = Size().width
    try:
        scene = prepare(open_cluster(options.cluster))
        right = _show(console, scene, record=options.record)
    except FAILURES as error:
        print(f"demo: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        away = taken_away_by(open_cluster(options.cluster))
        hint = f" ({away} takes it away)" if away else ""
        print(f"\ndemo: interrupted; the cluster is as it was at that moment{hint}", file=sys.stderr)
        return _INTERRUPTED
    console.print(f"\nThe cluster stays up. Look around:\n{look_around(scene.cluster)}", markup=False, soft_wrap=True)
    console.print(f"  {scene.endpoint.curl()}", markup=False, soft_wrap=True)
    return 0 if right else 1


def _show(console: Console, scene: Scene, *, record: bool) -> bool:
    """Play, and judge; whether every claim holds."""
    traffic = Traffic(scene.endpoint, rate=_REQUESTS_A_SECOND)
    broken_off = None
    with Watch(scene.kubectl, NAMESPACE, NAME) as watch:
        story = Story(traffic, watch, tell=lambda note: plain(console, story, note))
        try:
            with live(console, story):
                story.play(scene)
        except NotSeenError as error:
            broken_off = str(error)
        finally:
            traffic.stop()
        found = claims(story, scene.weights, broken_off)
        told = summary(stretches(story, watch.steps()), found, Size.of(console).width)
        console.print(told)
        if record:
            _record(picture(story, Size()), told)
    return all(claim.holds for claim in found)


def _record(*renderables: object) -> None:
    """The picture and the summary, as rich draws them, into the documentation."""
    paper = Console(record=True, width=Size().width, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for renderable in renderables:
        paper.print(renderable)
    RECORDING.parent.mkdir(parents=True, exist_ok=True)
    svg = paper.export_svg(title="make demo", theme=SVG_EXPORT_THEME)
    # The reader's own monospaced font, instead of one fetched from a server on the Internet.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = svg.replace("Fira Code, monospace", "monospace").replace("<text ", '<text xml:space="preserve" ')
    RECORDING.write_text(svg)
    print(f"demo: wrote {RECORDING}")


if __name__ == "__main__":
    sys.exit(main())
