"""How long calls are silent when their relay is killed and started again, each saying 50 packets a second."""

import asyncio
import tempfile
from pathlib import Path
from typing import Final

from tests.bench.report import Bar, Report, Row
from tests.support.relay_restart import CHECKS, restarted_under_calls
from voicefleet.wire.keyring import FleetKey, KeyRing

_PAUSE: Final = 0.02
_RING: Final = KeyRing("bench", (FleetKey(1, bytes(range(32)), 0.0, None),))


def restart(quick: bool) -> Report:
    """With the session map, and with one that was flushed as well; a quick run has fewer calls."""
    rows: list[Row] = []
    bars: list[Bar] = []
    for flushed, what, bar in (
        (False, "restart, Redis has the map", 100.0),
        (True, "restart, Redis flushed", CHECKS * 1000),
    ):
        with tempfile.TemporaryDirectory(prefix="voicefleet-bench-") as name:
            calls = 20 if quick else 100
            seen = asyncio.run(restarted_under_calls(Path(name), _RING, calls=calls, pause=_PAUSE, flushed=flushed))
        rows += [
            Row(what, "calls", len(seen.late), ""),
            Row(what, "longest gap after the new process is up", max(seen.late) * 1000, "ms"),
            Row(what, "longest silence, the start of the process included", max(seen.silent) * 1000, "ms"),
        ]
        bars.append(Bar.at_most(f"{what}, longest gap after the new process is up, ms", max(seen.late) * 1000, bar))
    return Report("relay", rows, bars)
