"""coturn, the relay that others run: ChannelData between a client and one peer, which is the cheapest that TURN has."""

import os
import resource
import shutil
import struct
from collections.abc import Iterator
from typing import Final

from tests.bench.relay.forwarders import Missing, Processes
from tests.bench.relay.lab import FAR, HOP, PAYLOAD, PUBLIC, Lab, Ways, client_of, flow_of, rtp

_COOKIE: Final = 0x2112A442
_ALLOCATE: Final = 0x003
_CHANNEL_BIND: Final = 0x009
_SUCCESS: Final = 0x100
_CHANNEL: Final = 0x4000
_XOR_RELAYED: Final = 0x0016
_AT_ONCE: Final = 100
_ATTEMPTS: Final = 20
_SPARE_DESCRIPTORS: Final = 1_000


class Coturn(Processes):
    """One turnserver with one relay thread, no authentication and no bounds."""

    name = "coturn"

    def __init__(self, lab: Lab) -> None:
        program = shutil.which("turnserver")
        if program is None:
            raise Missing("turnserver is not installed (apt-get install coturn)")
        self._lab = lab
        self._flows: list[Ways] = []
        options = "--no-auth --no-tls --no-dtls --no-cli --no-software-attribute --relay-threads=1 --simple-log"
        where = f"--listening-ip={PUBLIC[0]} --listening-port={PUBLIC[1]} --relay-ip={HOP}"
        files = f"--log-file=stdout --pidfile={lab.directory}/pid --userdb={lab.directory}/users"
        ports = "--min-port=1025 --max-port=65535"
        super().__init__(lab, [program, "-n", *options.split(), *where.split(), *files.split(), *ports.split()])
        with lab.listening():
            self.until(self._answers())

    def open(self, count: int) -> list[Ways]:
        """Allocations with a channel each; every one has a socket, so the machine may have too few descriptors."""
        bound = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - _SPARE_DESCRIPTORS
        if count > bound:
            raise Missing(f"it needs a descriptor for each flow, and may have {bound:,}")
        with self._lab.listening():
            while len(self._flows) < count:
                first = len(self._flows)
                self._open(range(first, min(count, first + _AT_ONCE)))
        return self._flows[:count]

    def _open(self, flows: range) -> None:
        relayed = self._ask(flows, _ALLOCATE, struct.pack("!HHBxxx", 0x0019, 4, 17))
        peer = bytes([0, 1]) + (FAR[1] ^ _COOKIE >> 16).to_bytes(2)
        peer += (int.from_bytes(bytes(map(int, FAR[0].split(".")))) ^ _COOKIE).to_bytes(4)
        channel = struct.pack("!HHHxx", 0x000C, 4, _CHANNEL) + struct.pack("!HH", 0x0012, 8) + peer
        self._ask(flows, _CHANNEL_BIND, channel)
        for flow in flows:
            framed = struct.pack("!HH", _CHANNEL, PAYLOAD) + rtp(flow)
            self._flows.append(Ways(framed, PUBLIC, rtp(flow), (HOP, _relayed_port(relayed[flow]))))

    def _ask(self, flows: range, method: int, attributes: bytes) -> dict[int, bytes]:
        """The successful answer to each flow's client."""
        answers: dict[int, bytes] = {}
        requests = {flow: _request(method, attributes) for flow in flows}
        for _ in range(_ATTEMPTS):
            for flow in flows:
                if flow not in answers:
                    self._lab.clients.send(client_of(flow), PUBLIC, requests[flow])
            for _, client, payload in self._lab.clients.receive(0.1):
                asked = requests.get(flow_of(client), b"")
                if payload[8:20] == asked[8:20] and payload[:2] == (method | _SUCCESS).to_bytes(2):
                    answers[flow_of(client)] = payload
                if len(answers) == len(flows):
                    return answers
        raise Missing(f"{len(flows) - len(answers)} of {len(flows)} flows did not open")

    def _answers(self) -> Iterator[bool]:
        while True:
            self._lab.clients.send(("198.19.255.1", 9), PUBLIC, _request(0x001, b""))
            yield any(True for _ in self._lab.clients.receive(0.1))


def _request(method: int, attributes: bytes) -> bytes:
    return struct.pack("!HHI", method, len(attributes), _COOKIE) + os.urandom(12) + attributes


def _relayed_port(answer: bytes) -> int:
    at = 20
    while at < len(answer):
        kind, length = struct.unpack_from("!HH", answer, at)
        if kind == _XOR_RELAYED:
            return int.from_bytes(answer[at + 6 : at + 8]) ^ _COOKIE >> 16
        at += 4 + length + -length % 4
    raise Missing("an allocation without an address")
