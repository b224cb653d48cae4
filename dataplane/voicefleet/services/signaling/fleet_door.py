"""What operators ask of a fleet from outside: who is there, which calls there are, how one of them goes, and to drain.

GET  /v1/fleet                              the directory, and what this replica itself lacks
GET  /v1/fleet/calls                        all live calls, as their transceivers tell
GET  /v1/fleet/calls/{id}                   one call
POST /v1/fleet/transceivers/{id}/drain      take no more calls there

Nothing is kept here: what a transceiver does not answer in time is missing from the answer, and named in it.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Final

from aiohttp import web

from voicefleet.core.directory import Directory, RelayEntry, TransceiverEntry
from voicefleet.net.watched_file import WatchedFile
from voicefleet.services.signaling.front_desk import FrontDesk
from voicefleet.services.signaling.openapi import JSON, Answer, Described, described
from voicefleet.services.signaling.operators import Operators
from voicefleet.services.signaling.problems import Problem
from voicefleet.services.signaling.transceiver_client import TransceiverClient, Unavailable, api_of

OBJECT: Final = {"type": "object"}
SAMPLE: Final = 20
"""Calls of each transceiver that are looked at for an overview; a hundred transceivers make two thousand."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What this replica itself depends on."""

    fleet: Callable[[], str]
    session_map: Callable[[], str | None]
    """Why Redis does not answer; None while it does."""
    files: Sequence[WatchedFile[Any]] = field(default=())


class FleetDoor:
    """Handlers for operators."""

    def __init__(
        self,
        desk: FrontDesk,
        directory: Directory,
        client: TransceiverClient,
        operators: Operators,
        surroundings: Surroundings,
    ) -> None:
        self._desk = desk
        self._directory = directory
        self._client = client
        self._operators = operators
        self._surroundings = surroundings

    def routes(self) -> list[web.RouteDef]:
        """What an application adds to serve this."""
        return [
            web.get("/v1/fleet", self.fleet),
            web.get("/v1/fleet/calls", self.calls),
            web.get("/v1/fleet/calls/{id}", self.call),
            web.post("/v1/fleet/transceivers/{id}/drain", self.drain),
        ]

    @described(Described({200: Answer("As this replica knows it.", {JSON: OBJECT})}, refuses=(403,)))
    async def fleet(self, request: web.Request) -> web.Response:
        """Relays, transceivers with a sample of their calls, and what this replica of signaling lacks."""
        self._operators.check(request)
        now = time.monotonic()
        around = self._surroundings
        transceivers = sorted(self._directory.transceivers(), key=lambda each: each.id)
        samples = await asyncio.gather(*(self._sample(each) for each in transceivers))
        return web.json_response(
            {
                "fleet": around.fleet(),
                "version": version("voicefleet"),
                "time": time.time(),
                "sessionMap": around.session_map(),
                "files": [
                    {"name": each.name, "path": str(each.path), "problem": each.failure} for each in around.files
                ],
                "relays": [
                    self._entry(each, now)
                    | {"pool": each.pool, "load": each.load, "tier": each.tier}
                    | {"addresses": [address._asdict() for address in each.addresses]}
                    for each in sorted(self._directory.relays(), key=lambda each: each.id)
                ],
                "transceivers": [
                    self._entry(each, now)
                    | {"shard": each.shard, "capacity": each.capacity, "free": each.free}
                    | {"calls": sample and sample[0], "sample": sample and sample[1]}
                    | {"workers": [worker._asdict() for worker in each.workers]}
                    for each, sample in zip(transceivers, samples, strict=True)
                ],
            }
        )

    @described(Described({200: Answer("By transceiver.", {JSON: OBJECT})}, refuses=(403,)))
    async def calls(self, request: web.Request) -> web.Response:
        """All live calls, with their ages in seconds."""
        self._operators.check(request)
        transceivers = self._directory.transceivers()
        listed = await asyncio.gather(*(self._list(each) for each in transceivers))
        calls = [
            {"id": call["id"], "age": call["age"], "transceiver": each.id, "shard": each.shard, "region": each.region}
            for each, some in zip(transceivers, listed, strict=True)
            for call in some or ()
        ]
        silent = [each.id for each, some in zip(transceivers, listed, strict=True) if some is None]
        return web.json_response({"calls": sorted(calls, key=lambda call: -float(call["age"])), "silent": silent})

    @described(Described({200: Answer("What is known of it.", {JSON: OBJECT})}, refuses=(403, 404, 503)))
    async def call(self, request: web.Request) -> web.Response:
        """Where a call runs, its set-up and its quality so far."""
        self._operators.check(request)
        owner, record = await self._desk.live.look(request.match_info["id"])
        where = {"id": owner.id, "shard": owner.shard, "region": owner.region, "node": owner.node}
        return web.json_response({"transceiver": where, "record": record})

    @described(Described({200: Answer("What is left there.", {JSON: OBJECT})}, refuses=(403, 404, 503)))
    async def drain(self, request: web.Request) -> web.Response:
        """Have a transceiver take no more calls; those that it has go on."""
        self._operators.check(request)
        wanted = request.match_info["id"]
        for each in self._directory.transceivers():
            if each.id == wanted:
                try:
                    return web.json_response(await self._client.drain(api_of(each)))
                except Unavailable as reason:
                    raise Problem(503, "transceiver_silent", f"{wanted} does not answer: {reason}.") from None
        raise Problem(404, "no_such_transceiver", f"There is no transceiver {wanted}.")

    async def _list(self, transceiver: TransceiverEntry) -> list[dict[str, Any]] | None:
        try:
            return await self._client.list(api_of(transceiver))
        except Unavailable:
            return None

    async def _sample(self, transceiver: TransceiverEntry) -> tuple[int, list[dict[str, Any]]] | None:
        """How many calls it has, with set-up and quality of some; None where it does not answer."""
        listed = await self._list(transceiver)
        if listed is None:
            return None
        step = -(-len(listed) // SAMPLE) or 1
        looked = await asyncio.gather(
            *(self._client.look(api_of(transceiver), call["id"]) for call in listed[::step]), return_exceptions=True
        )
        return len(listed), [_quality(record) for record in looked if isinstance(record, dict)]

    def _entry(self, entry: RelayEntry | TransceiverEntry, now: float) -> dict[str, Any]:
        stale = self._directory.stale(entry, now)
        return {
            "id": entry.id,
            "region": entry.region,
            "node": entry.node,
            "zone": entry.zone,
            "draining": entry.draining,
            "stale": stale,
        }


def _quality(record: dict[str, Any]) -> dict[str, Any]:
    heard = record["leg"]["measurements"]
    up, down = (heard["uplink"], heard["downlink"]) if heard else (None, None)
    return {
        "setup": record["first_audio_out"],
        "roundTrip": heard["round_trip"] if heard else None,
        "uplinkLoss": max(0, up["lost"]) / max(1, up["packets"] + up["lost"]) if up else None,
        "downlinkLoss": down["lost"] / max(1, down["packets"]) if down else None,
        "mos": min(up["mos"], down["mos"]) if up and down else None,
    }
