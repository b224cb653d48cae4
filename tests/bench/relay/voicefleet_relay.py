"""This relay, in either tier, as a process of its own, with flows that it confirmed as it always does: by checks."""

import http.client
import os
import sys
import time
from collections.abc import Iterator
from itertools import islice
from typing import Final

from tests.bench.relay.forwarders import Missing, Processes
from tests.bench.relay.lab import FAR, HOP, HOP_NETWORK, PUBLIC, Lab, Ways, client_of, flow_of, rtp
from voicefleet.contract import Env, HealthPath
from voicefleet.services.relay.settings import RelaySettings
from voicefleet.wire import hop, stun
from voicefleet.wire.hop import Flag, Kind
from voicefleet.wire.keyring import KeyRing
from voicefleet.wire.route_token import Route, ice_password, mint

_HEALTH: Final = ("127.0.0.1", 8080)
_GENERATION: Final = 1
_PER_TOKEN: Final = 8
_AT_ONCE: Final = 200
"""Checks on their way at once: they fit every buffer."""
_ATTEMPTS: Final = 60


class Relay(Processes):
    """`tier` is Userspace or Kernel."""

    def __init__(self, lab: Lab, tier: str, **settings: str) -> None:
        self.name = tier.lower()
        if "datapath" not in RelaySettings.model_fields and tier == "Kernel":
            raise Missing("this relay has no kernel tier")
        self._lab = lab
        self._ring = KeyRing.generate("bench", time.time() - 10, os.urandom)
        self._key = self._ring.minting(time.time())
        self._pong = hop.seal(Kind.PONG, Flag.DOWNLINK, ("0.0.0.0", 0), self._key)
        self._hop = (HOP, 0)
        self._flows: list[Ways] = []
        self._tokens: list[str] = []
        key_file = lab.directory / "keyring.json"
        key_file.write_bytes(self._ring.dump())
        environment = {key: value for key, value in os.environ.items() if not key.startswith(Env.PREFIX)}
        environment |= {
            Env.KEY_FILE: str(key_file),
            Env.LISTEN: f"{PUBLIC[0]}:{PUBLIC[1]}",
            Env.HOP_LISTEN: f"{HOP}:0",
            Env.HOP_NETWORKS: HOP_NETWORK,
            Env.HEALTH_LISTEN: f"{_HEALTH[0]}:{_HEALTH[1]}",
            Env.WORKERS: "1",
            Env.LOG_FORMAT: "text",
            "VOICEFLEET_MAX_FLOWS": "60000",
            "VOICEFLEET_FLOW_IDLE": "10m",
            **({Env.DATAPATH: tier} if "datapath" in RelaySettings.model_fields else {}),
            **settings,
        }
        super().__init__(lab, [sys.executable, "-m", "voicefleet.services.relay"], environment)
        self.until(self._ready())

    def open(self, count: int) -> list[Ways]:
        """Opens what is missing by checks, as clients do, and lets each flow carry a packet both ways."""
        with self._lab.listening():
            while len(self._flows) < count:
                first = len(self._flows)
                self._open(range(first, min(count, first + _AT_ONCE)))
        return self._flows[:count]

    def metrics(self) -> str:
        """What a scrape says."""
        return self._ask(HealthPath.METRICS)[1]

    def _open(self, flows: range) -> None:
        missing = set(flows)
        back: dict[int, bytes] = {}
        for _ in range(_ATTEMPTS):
            if self._hop[1]:  # nobody answered while nothing was measured; so it may believe that the far end is gone
                self._lab.far.send(FAR, self._hop, self._pong + bytes(8) + _GENERATION.to_bytes(2))
            for flow in missing:
                self._lab.clients.send(client_of(flow), PUBLIC, self._check(flow))
            answered: set[int] = set()
            for header in self._arrivals():
                if (flow := flow_of(header.client)) in missing:
                    answered.add(flow)
                    back[flow] = hop.seal(Kind.DATA, Flag.DOWNLINK, header.client, self._key)
                    self._lab.far.send(FAR, self._hop, back[flow] + rtp(flow))
                    if len(answered) == len(missing):
                        break
            for _, client, _ in self._lab.clients.receive(0.05):
                missing.discard(flow_of(client))
                if not missing:
                    break
            if not missing:
                break
        else:
            raise Missing(f"{len(missing)} of {len(flows)} flows did not open")
        for flow in flows:
            self._lab.clients.send(client_of(flow), PUBLIC, rtp(flow))
            self._flows.append(Ways(rtp(flow), PUBLIC, back[flow] + rtp(flow), self._hop))
        for _ in islice(self._arrivals(), len(flows)):
            pass  # its media is forwarded

    def _arrivals(self) -> Iterator[hop.HopHeader]:
        for source, _, datagram in self._lab.far.receive(0.05):
            self._hop = source
            whole = (datagram[: hop.HEADER], datagram[hop.HEADER :])
            for head, _ in hop.unbundle(datagram) if hop.is_bundle(datagram) else [whole]:
                header = hop.open(head, self._ring)
                if header.kind is Kind.DATA:
                    yield header

    def _check(self, flow: int) -> bytes:
        call = flow // _PER_TOKEN
        while call >= len(self._tokens):
            route = Route(*FAR, _GENERATION, len(self._tokens))
            self._tokens.append(mint(route, self._key, self._ring.fleet_tag))
        token = self._tokens[call]
        password = ice_password(token.encode(), self._key)
        return stun.binding_request(os.urandom(12), f"{token}:x", password, priority=1, controlling=1)

    def _ready(self) -> Iterator[bool]:
        while True:
            yield self._ask(HealthPath.READY)[0] == 200

    def _ask(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(*_HEALTH, timeout=5)
        try:
            with self._lab.forwarder.entered():
                connection.connect()
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()
