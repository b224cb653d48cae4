"""How long to wait before something is tried again: longer each time, and never all at the same moment."""

from dataclasses import dataclass
from random import Random
from typing import Final

_LEAST: Final = 0.5
"""Share of a wait that is not left to chance: a model that was just lost is not asked again within a millisecond."""


@dataclass(frozen=True, slots=True)
class BackOff:
    """Waits in seconds."""

    first: float = 0.25
    most: float = 15.0

    def wait(self, failures: int, random: Random) -> float:
        """After so many failures in a row, at least one."""
        longest = min(self.first * 2.0 ** min(failures - 1, 30), self.most)
        return longest * random.uniform(_LEAST, 1.0)
