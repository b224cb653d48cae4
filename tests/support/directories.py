"""Directories made up for tests of steering: relays and transceivers in real cities."""

from collections.abc import Mapping
from random import Random

from voicefleet.core.directory import Directory, HopWorker, Kind, PublicAddress, RelayEntry, TransceiverEntry
from voicefleet.core.place import Place
from voicefleet.core.steering.policy import Policy
from voicefleet.core.steering.steering import Steering

FRANKFURT = Place(50.11, 8.68)
PARIS = Place(48.86, 2.35)
DUBLIN = Place(53.35, -6.26)
VIRGINIA = Place(39.04, -77.49)
TOKYO = Place(35.68, 139.69)
SYDNEY = Place(-33.87, 151.21)
SAO_PAULO = Place(-23.55, -46.63)
POOLS = {
    "fra": FRANKFURT, "par": PARIS, "dub": DUBLIN, "us": VIRGINIA, "jp": TOKYO, "au": SYDNEY, "br": SAO_PAULO,
}  # fmt: skip
NOW = 100.0


def relay(
    name: str,
    place: Place | None = None,
    *,
    pool: str | None = None,
    region: str = "",
    load: float = 0.0,
    draining: bool = False,
    node: str = "",
    zone: str = "",
) -> RelayEntry:
    """A relay; its pool is named as it is, unless told otherwise."""
    addresses = (PublicAddress("192.0.2.1", 3478),)
    return RelayEntry(name, pool or name, region, place, addresses, load, draining=draining, node=node, zone=zone)


def transceiver(
    name: str,
    free: int,
    *,
    capacity: int = 100,
    draining: bool = False,
    region: str = "",
    place: Place | None = None,
    generation: int = 1,
) -> TransceiverEntry:
    """A transceiver with one worker."""
    workers = (HopWorker("10.0.0.1", 4478, generation),)
    api = ("10.0.0.1", 8089)
    return TransceiverEntry(name, "s", region, place, api, capacity, free, workers, draining=draining)


def directory(*entries: RelayEntry | TransceiverEntry, now: float = NOW) -> Directory:
    """A directory whose sources are there and which has just heard of these."""
    table = Directory()
    for kind in Kind:
        table.source_is_there(kind, now)
    for entry in entries:
        table.heard(entry, now)
    return table


def steering_of_pools(policy: Policy | None = None, seed: int = 1, among: Mapping[str, Place] = POOLS) -> Steering:
    """Steering with a relay in each of these pools, whose regions are named as they are."""
    relays = (relay(pool, where, region=pool) for pool, where in among.items())
    return Steering(directory(*relays), policy or Policy(), Random(seed))
