"""What steering is told: the fleet's rules, and what is known of a client."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address, ip_network
from typing import Final

from voicefleet.core.place import Place

NETWORK_BITS: Final = {4: 24, 6: 48}
"""How much of an address makes a network whose clients are taken to be in one place: the least that is routed alone."""


class PlaceSource(StrEnum):
    """How a client's place is known; the value of a metric label."""

    CONFIGURED = "configured"
    DATABASE = "database"
    HINT = "hint"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Policy:
    """The fleet's rules for where calls may run."""

    allowed_regions: frozenset[str] = frozenset()
    """Regions that are never left, not even when all that is in them is down; empty allows all."""
    default_region: str = ""
    """Where clients go whose place nobody knows."""
    relays: int = 2
    """Relays offered: the second is for when the first dies; more would only make the client check more paths."""

    def allows(self, region: str) -> bool:
        """Whether calls may touch this region."""
        return not self.allowed_regions or region in self.allowed_regions


@dataclass(frozen=True, slots=True)
class Client:
    """A client who calls."""

    place: Place | None
    network: str = ""
    """As `network_of` gives it: what measurements are kept by."""
    key: str = ""
    """The name of the API key: its calls are spread."""
    source: PlaceSource = PlaceSource.UNKNOWN


def network_of(address: str) -> str:
    """The network (/24 or /48) of an address; empty for what is none. IPv4 inside of IPv6 counts as IPv4."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    inner = getattr(parsed, "ipv4_mapped", None) or parsed
    return str(ip_network((inner, NETWORK_BITS[inner.version]), strict=False))
