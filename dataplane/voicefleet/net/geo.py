"""Where networks are: a database of MaxMind's format, read again when its file changes, and networks told by hand.

City databases give places; for those that know countries only a country's principal city stands. Without a database
nothing is known, and everything else works.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Final

import maxminddb

from voicefleet.core.countries import place_of_country
from voicefleet.core.forwarded import parse_address
from voicefleet.core.place import Place
from voicefleet.net.watched_file import WatchedFile

KEPT: Final = 4096
"""Addresses whose answer is kept: one look-up takes 10 to 30 us."""


@dataclass(frozen=True, slots=True)
class PlacedNetwork:
    """A network whose place the fleet's owner knows."""

    cidr: IPv4Network | IPv6Network
    place: Place


class GeoDatabase:
    """One database as it was read; a new file makes a new one."""

    def __init__(self, path: Path) -> None:
        try:
            # In memory as a whole: a file that is replaced or cut short under a mapping would end the process.
            self._reader = maxminddb.open_database(str(path), maxminddb.MODE_MEMORY)
        except (maxminddb.InvalidDatabaseError, UnicodeDecodeError) as error:
            raise ValueError(f"not a database of MaxMind's format: {error}") from None
        self.built_at = self._reader.metadata().build_epoch
        self.kind = self._reader.metadata().database_type
        self._look_up = lru_cache(KEPT)(self._read)

    def place(self, address: str) -> Place | None:
        """Where this address is, as far as the database knows."""
        return self._look_up(address)

    def _read(self, address: str) -> Place | None:
        parsed = parse_address(address)
        if parsed is None:
            return None
        try:
            record = self._reader.get(parsed)
        except (ValueError, maxminddb.InvalidDatabaseError):
            return None  # an IPv6 address in an IPv4 database, or a broken node
        return _place(record) if isinstance(record, dict) else None


def open_geo_database(path: Path) -> WatchedFile[GeoDatabase]:
    """The database, followed through changes of its file."""
    return WatchedFile(path, GeoDatabase, "geo database")


class PlacedNetworks:
    """Networks told by hand; of several that hold an address the narrowest counts."""

    def __init__(self, networks: Sequence[PlacedNetwork]) -> None:
        self._networks = sorted(networks, key=lambda each: -each.cidr.prefixlen)

    def place(self, address: str) -> Place | None:
        """Where this address is, if it was told."""
        parsed = parse_address(address)
        if parsed is None:
            return None
        return next(
            (each.place for each in self._networks if each.cidr.version == parsed.version and parsed in each.cidr),
            None,
        )


def _place(record: Mapping[str, Any]) -> Place | None:
    location = record.get("location")
    if isinstance(location, dict):
        try:
            return Place(float(location["latitude"]), float(location["longitude"]))
        except (KeyError, TypeError, ValueError):
            pass
    for name in ("country", "registered_country"):
        country = record.get(name)
        code = country.get("iso_code") if isinstance(country, dict) else record.get("country_code")
        if isinstance(code, str) and (place := place_of_country(code)) is not None:
            return place
    return None
