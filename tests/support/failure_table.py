"""docs/failures.md: what callers heard of each failure, as a run of the tests measured it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FILE: Final = Path(__file__).parents[2] / "docs" / "failures.md"
WRITE: Final = "VF_WRITE_FAILURES"
"""Set, a run writes the file; else it only prints: figures of a machine that was busy by chance are nobody's."""
_HEAD: Final = """# What callers hear when something fails

Real pods on one node, twenty calls from outside through the pool's host port to the echo, and one failure at a time.
Each has two relays to go through, of two pools, except where the row says otherwise.
Each call says a numbered frame every 20 ms. *Gap* is the longest time that any of the calls was without its own voice
coming back; *before* is the same while nothing fails, on the same machine a moment earlier (0.03 s is the clock, more
is the machine). *Lost* are frames of all calls together, while it failed and some seconds around it. *Took* is until
what failed was whole again, as far as the test waits for it.

Written by `VF_WRITE_FAILURES=1 scripts/test cluster`; each row is a test that holds the figures against the promise.
*Load* is the machine's: with two cores, all above two is other work, and does everything later without losing anything.

| what fails | a caller is promised | gap before | longest gap | calls ended | frames lost | took | load |
|---|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One failure."""

    what: str
    promise: str
    before: float
    gap: float
    ended: int
    lost: int
    said: int
    took: float
    load: float


class FailureTable:
    """The rows of one run."""

    def __init__(self) -> None:
        self._rows: list[Row] = []

    def add(self, row: Row) -> None:
        """One more; printed, so that a failed run tells it too."""
        self._rows.append(row)
        print(row)

    def write(self) -> None:
        """Write the file, where that is asked for."""
        if not os.environ.get(WRITE):
            return
        rows = _written()  # of tests that did not run this time
        for row in self._rows:
            rows[row.what] = (
                f"| {row.what} | {row.promise} | {row.before:.2f} s | {row.gap:.2f} s | {row.ended} "
                f"| {row.lost} of {row.said} | {row.took:.0f} s | {row.load:.0f} |"
            )
        FILE.write_text(_HEAD + "\n".join(rows.values()) + "\n")


def _written() -> dict[str, str]:
    lines = FILE.read_text().splitlines() if FILE.exists() else []
    rows = [line for line in lines if line.startswith("| ") and not line.startswith("| what")]
    return {line.split("|")[1].strip(): line for line in rows}
