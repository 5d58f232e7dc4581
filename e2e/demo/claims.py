"""What the demonstration claims, and whether it was so: every claim is checked against answers or the status.

Pure: from notes, answers and statuses to sentences with a yes or a no.
"""

from dataclasses import dataclass

from e2e.demo.story import Story
from e2e.shares import Share
from e2e.traffic import by_version
from e2e.watching import Step

# The step's clock starts when the gateway's controller has accepted the route; its proxies have it some milliseconds
# later. And a request that is sent just before the next move may be routed just after it. So a share is counted from
# requests sent this long after the one and before the other.
MARGIN_AFTER = 0.5
MARGIN_BEFORE = 0.3
_FAILURES_SHOWN = 3


@dataclass(frozen=True)
class Claim:
    """One sentence that is true or not."""

    text: str
    holds: bool


@dataclass(frozen=True)
class Stretch:
    """A time in which the weights did not change."""

    name: str
    version: str
    """The version whose share is counted."""
    share: Share


def stretches(story: Story, steps: list[Step]) -> list[Stretch]:
    """The shares at each weight, in order."""
    rows = [_stretch(story, "v1 alone", "v2", 0, story.served_at, story.moved_at.get("v2"))]
    for step in steps:
        name = f"step {step.number}"
        rows.append(_stretch(story, name, step.version, step.weight, step.start, step.end))
    rows.append(_stretch(story, "v2 promoted", "v2", 100, story.promoted_at, story.moved_at.get("v3")))
    rows.append(_stretch(story, "v3 declared", "v3", 0, story.moved_at.get("v3", 0.0), story.ended_at))
    return rows


def _stretch(story: Story, name: str, version: str, weight: int, start: float, end: float | None) -> Stretch:
    answers = story.traffic.answers(start + MARGIN_AFTER, end - MARGIN_BEFORE) if start and end else []
    counted = by_version(answers)
    return Stretch(name, version, Share(weight, counted.get(version, 0), sum(counted.values())))


def claims(story: Story, weights: list[int], broken_off: str | None) -> list[Claim]:
    """All of them. `broken_off` is why the story did not come to its end, if it did not."""
    steps = story.watch.steps()
    found = [Claim(f"the story broke off: {broken_off}", holds=False)] if broken_off else []
    found.append(_no_failure(story))
    found.append(Claim(f"v1 served {_since(story.served_at, story.applied_at)} after it was declared", _served(story)))
    found.append(_shares(story, steps, weights))
    text = f"v2 was promoted {_since(story.promoted_at, story.moved_at.get('v2'))} after the alias moved"
    found.append(Claim(f"{text}, {_holds(steps)} of it in steps", story.promoted_at > 0))
    found.append(Claim(f"v1 was retired {_since(story.retired_at, story.promoted_at)} later", story.retired_at > 0))
    return found + _rejection(story)


def _no_failure(story: Story) -> Claim:
    answers, failures = story.traffic.answers(), story.traffic.failures
    text = f"{len(failures)} of {len(answers):,} requests failed"
    for failure in failures[:_FAILURES_SHOWN]:
        text += f"\n{failure.sent - story.clock:.1f} s after the first request: {failure.error}"
    return Claim(text, bool(answers) and not failures)


def _served(story: Story) -> bool:
    answers = story.traffic.answers(end=story.moved_at.get("v2", 0.0))
    return story.served_at > 0 and {answer.version for answer in answers} == {"v1"}


def _shares(story: Story, steps: list[Step], weights: list[int]) -> Claim:
    rows = stretches(story, steps)
    right = [row for row in rows if row.share.fits]
    text = f"{len(right)} of {len(rows)} counted shares fit the declared weights"
    return Claim(text, len(right) == len(rows) and [step.weight for step in steps] == weights)


def _rejection(story: Story) -> list[Claim]:
    latest = story.watch.latest
    rejected = latest.status.get("rejected") or [{}] if latest else [{}]
    message, version = rejected[0].get("message", ""), rejected[0].get("version")
    took = _since(story.rejected_at, story.moved_at.get("v3"))
    heard = by_version(story.traffic.answers()).get("v3", 0)
    settled = story.traffic.answers(start=story.rejected_at or float("inf"))
    last = {answer.version for answer in settled} == {"v2"}
    return [
        Claim(f"v3 was rejected {took} after the alias moved: {message}", version == "v3" and "Error" in message),
        Claim(f"v3 answered {heard} requests", heard == 0 and story.rejected_at > 0),
        Claim("v2 goes on serving all requests", last and latest is not None and latest.weights == {"v2": 100}),
    ]


def _since(moment: float, start: float | None) -> str:
    return f"{moment - start:.1f} s" if moment and start else "not"


def _holds(steps: list[Step]) -> str:
    return f"{sum(step.end - step.start for step in steps):.0f} s"
