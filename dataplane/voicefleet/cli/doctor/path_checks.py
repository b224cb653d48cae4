"""Checks that go a call's whole way: client, relay, hop, transceiver and back.

With the fleet's key a route token of a live transceiver can be made for a call that does not exist. The relay verifies
and forwards the check, the transceiver refuses it with a signature of its own: so each answer proves the whole path, in
both directions, and nothing is left behind. A check as large as media may be, which must not be fragmented, proves the
size.
"""

import asyncio
import secrets
import socket
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from voicefleet.cli.doctor.finding import Finding, bad, good, unknown
from voicefleet.contract import MEDIA_MTU
from voicefleet.wire import stun
from voicefleet.wire.errors import WireError
from voicefleet.wire.keyring import KeyRing
from voicefleet.wire.route_token import Route, ice_password, mint

TRIES: Final = 4
PAUSE: Final = 0.5
NOBODY: Final = 0xFFFFFFF0
"""The counter of no call."""
_FILLER: Final = 0x8022
"""SOFTWARE (RFC 8489, 14.14): an attribute that nobody has to understand."""
_LARGEST_FILLER: Final = 500
_DONT_FRAGMENT: Final = 2
"""IP_PMTUDISC_DO; the socket module does not name it, nor IP_MTU_DISCOVER (10)."""


async def examine(view: Mapping[str, Any], ring: KeyRing, now: float) -> AsyncIterator[Finding]:
    """One finding for each address of each relay."""
    workers = [worker for each in view["transceivers"] for worker in each["workers"]]
    addresses = [(relay["id"], each["address"], each["udp"]) for relay in view["relays"] for each in relay["addresses"]]
    if not workers:
        yield unknown("relay paths", "there is no transceiver to go to")
        return
    key = ring.minting(now)
    worker = workers[0]
    token = mint(Route(worker["address"], worker["port"], worker["generation"], NOBODY), key, ring.fleet_tag)
    password = ice_password(token.encode(), key)
    for found in await asyncio.gather(*(_relay(*each, token, password) for each in addresses)):
        yield found


async def _relay(name: str, address: str, port: int, token: str, password: bytes) -> Finding:
    about = f"relay {name}"
    where = f"{address}:{port}"
    took = await _answered(address, port, _check(token, password), password)
    if took is None:
        return bad(
            about,
            f"{where} does not answer a check that it must answer",
            f"let UDP port {port} through to it (firewall, security group, load balancer), and its way to transceivers",
        )
    if await _answered(address, port, _check(token, password, MEDIA_MTU), password) is None:
        return bad(
            about,
            f"{where} answers, but packets of {MEDIA_MTU} octets do not pass: the MTU of the way is too small",
            f"raise the MTU on the way to at least {MEDIA_MTU + 60} octets, the hop's included (tunnels, VPNs)",
        )
    return good(about, f"{where} forwards to transceivers, {1000 * took:.1f} ms there and back, packets of media size")


def _check(token: str, password: bytes, size: int = 0) -> bytes:
    def encoded(fillers: list[int]) -> bytes:
        message = stun.Message(
            stun.Class.REQUEST,
            stun.BINDING,
            secrets.token_bytes(12),
            username=f"{token}:doctor",
            priority=1,
            ice_controlling=1,
            others=tuple((_FILLER, bytes(length)) for length in fillers),
        )
        return stun.encode(message, password)

    fillers: list[int] = []
    while (left := size - len(encoded(fillers)) - 4) >= 4:
        fillers.append(min(left - left % 4, _LARGEST_FILLER))
    return encoded(fillers)


async def _answered(address: str, port: int, check: bytes, password: bytes) -> float | None:
    """How long the signed answer took; None if none came."""
    six = ":" in address
    with socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as way:
        if not six:
            way.setsockopt(socket.IPPROTO_IP, 10, _DONT_FRAGMENT)
        loop = asyncio.get_running_loop()
        for _ in range(TRIES):
            sent = time.monotonic()
            try:
                way.connect((address, port))
                way.send(check)
                async with asyncio.timeout(PAUSE):
                    while not _signed(await loop.sock_recv(way, 2048), check, password):
                        pass
                return time.monotonic() - sent
            except OSError as error:  # TimeoutError is one
                if not isinstance(error, TimeoutError):
                    await asyncio.sleep(PAUSE / 5)
    return None


def _signed(data: bytes, check: bytes, password: bytes) -> bool:
    try:
        message = stun.decode(data)
    except WireError:
        return False
    return (
        message.transaction_id == check[8:20]
        and message.integrity_at is not None
        and stun.integrity_ok(data, message.integrity_at, password)
    )
