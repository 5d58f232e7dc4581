"""``make crashes``: crash the operator at every write, put every fault in its way, and see that the end is the same."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from e2e.cluster.controlplane import ControlPlane
from e2e.cluster.kserve import add_kserve
from tests.crashes import table
from tests.crashes.campaign import Campaign
from tests.crashes.house import furnished
from tests.integration.conftest import furnish
from tests.integration.played import Played

RESULTS = Path(__file__).parents[2] / "bench" / "crashes.md"
# A run mostly waits: for a hold, for KServe, for silence. More of them than cores keep two cores busy.
WORKERS = 6


def main() -> int:
    """0 where every run ended as one without a fault."""
    options = _options()
    folder = Path(tempfile.mkdtemp(prefix="serin-crashes-"))
    with ControlPlane() as plane:
        add_kserve(plane)
        furnish(plane)
        campaign = asyncio.run(_go(plane, folder, options))
    whole = not options.only
    text = table.page(campaign)
    print(text)
    if whole or options.results != RESULTS:
        options.results.write_text(text)
    for result in campaign.failed:
        print(f"repeat: make crashes ARGS='--only {result.name}'")
    return 1 if campaign.failed else 0


async def _go(plane: ControlPlane, folder: Path, options: argparse.Namespace) -> Campaign:
    stage = Played(plane.url, plane.pki)
    await stage.start()
    try:
        async with furnished(plane, stage, folder) as house:
            campaign = Campaign(house, options.workers, options.only)
            await campaign.go(lambda line: print(f"crashes: {line}", flush=True))
            return campaign
    finally:
        await stage.stop()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make crashes", description=__doc__)
    parser.add_argument(
        "--only",
        type=lambda text: tuple(text.split(",")),
        default=(),
        help="some runs, by name: workload[:mode[:number of the write]], with * for any, several with commas",
    )
    parser.add_argument("--workers", type=int, default=WORKERS, help=f"runs at a time ({WORKERS})")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the table is kept")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
