"""Where relays are measured: a forwarder's namespace between two interfaces of the load's, each pinned to a core.

    load: `clients` (198.18.1.2, a router with 198.19.0.0/16 behind it) -- forwarder: `public` (198.18.1.1)
    load: `far` (198.18.2.2)                                            -- forwarder: `hop` (198.18.2.1)

The load speaks in frames; its interfaces have no addresses. On such a cable the kernel receives a frame within the
sender's system call. So the processor time of forwarding is taken together: that of the forwarder's processes, and that
of the load's calls for sending, less what these take on a cable that leads straight from the load to itself. Then a
forwarder in the kernel and one in userspace are measured alike, interrupts included. (Steering packets to the core of
the receiver would cost an interrupt between virtual processors for each, which no network card does.)
"""

import json
import socket
import struct
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, NamedTuple

from tests.support.namespaces import Namespace, address, namespaces, wire

PUBLIC: Final = ("198.18.1.1", 3478)
HOP: Final = "198.18.2.1"
FAR: Final = ("198.18.2.2", 4478)
HOP_NETWORK: Final = "198.18.2.0/24"
PAYLOAD: Final = 172
"""Octets of a call's packet: RTP's 12 and 20 ms of G.711, or of Opus at 64 kbit/s."""
_ROUTER: Final = "198.18.1.2"
_CLIENTS: Final = "198.19.0.0/16"
_SLOT: Final = 320
_MAC: Final = {"clients": 1, "public": 2, "hop": 3, "far": 4}
_FIRST_PORT: Final = 20_000
_PER_ADDRESS: Final = 500
_PER_NETWORK: Final = 8 * _PER_ADDRESS

BURST_FROM: Final = 60_000
"""Packets a second up to which the load sends them one by one, as they come from clients."""
LOAD_CORE: Final = 0
FORWARDER_CORE: Final = 1


class Ways(NamedTuple):
    """What both ends of one flow send: UDP payloads with the call's packet at the end, and where they go."""

    up: bytes
    up_to: tuple[str, int]
    down: bytes
    down_to: tuple[str, int]


def client_of(flow: int) -> tuple[str, int]:
    """The address of a flow's client; 4,000 of a /24 and 500 of an address, so that no bound per source is met."""
    address = flow % _PER_NETWORK // _PER_ADDRESS
    return f"198.19.{flow // _PER_NETWORK}.{address + 1}", _FIRST_PORT + flow % _PER_ADDRESS


def flow_of(client: tuple[str, int]) -> int:
    """Which flow a client's address is."""
    _, _, network, address = client[0].split(".")
    return int(network) * _PER_NETWORK + (int(address) - 1) * _PER_ADDRESS + client[1] - _FIRST_PORT


def rtp(flow: int) -> bytes:
    """A call's packet: the load writes number and time into it."""
    return b"\x80\x6f" + bytes(6) + (flow + 1).to_bytes(4) + bytes(PAYLOAD - 12)


NOBODY: Final = b"\x02\0\0\0\0\xff"
"""The hardware address that a forwarder sends to: the load reads it, and its kernel throws it away at once."""


def mac(interface: str) -> bytes:
    """The hardware address of an interface of the lab."""
    return b"\x02\0\0\0\0" + bytes([_MAC[interface]])


@dataclass(frozen=True, slots=True)
class Way:
    """What became of one direction's packets."""

    sent: int
    received: int
    late: int
    twice: int
    strange: int
    ring_drops: int
    p50: float
    p99: float
    p999: float
    largest: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one load showed; `ran` and `sending` are processor seconds of the forwarder and of the load's calls."""

    elapsed: float
    ran: float
    sending: float
    behind: int
    up: Way
    down: Way

    @property
    def sent(self) -> int:
        """Packets, both ways."""
        return self.up.sent + self.down.sent

    @property
    def received(self) -> int:
        """Packets, both ways."""
        return self.up.received + self.down.received

    @property
    def loss(self) -> float:
        """Share of packets that did not arrive, or too late."""
        return 1 - self.received / self.sent if self.sent else 0.0

    @property
    def rate(self) -> float:
        """Packets a second that the load really sent."""
        return self.sent / self.elapsed

    def cost(self, cable: float) -> float:
        """Microseconds for each packet that arrived, if sending one takes `cable` microseconds where nothing forwards.

        Packets that come late have been forwarded; those that never come have not, and what they cost counts as well.
        """
        arrived = self.received + self.up.late + self.down.late
        return (self.ran + self.sending) * 1e6 / max(1, arrived) - cable * self.sent / max(1, arrived)


class Tap:
    """Frames in and out of one of the load's interfaces, for setting flows up."""

    def __init__(self, inside: Namespace, interface: str, peer: str) -> None:
        with inside.entered():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._interface = interface
        self._head = mac(peer) + mac(interface) + b"\x08\0"

    def listen(self, on: bool) -> None:
        """Take what comes from now on; or no longer, for a socket that nobody reads costs the sender time."""
        self._socket.bind((self._interface, 0x0800 if on else 0))

    def send(self, source: tuple[str, int], destination: tuple[str, int], payload: bytes) -> None:
        """One datagram."""
        self._socket.send(frame(self._head, source, destination, payload))

    def receive(self, seconds: float) -> Iterator[tuple[tuple[str, int], tuple[str, int], bytes]]:
        """(source, destination, payload) of datagrams, until none came for that long."""
        self._socket.settimeout(seconds)
        while True:
            try:
                heard = self._socket.recv(65_535)
            except TimeoutError:
                return
            if heard[23] == socket.IPPROTO_UDP:
                source, destination, length = struct.unpack_from("!HHH", heard, 34)
                yield (
                    (socket.inet_ntoa(heard[26:30]), source),
                    (socket.inet_ntoa(heard[30:34]), destination),
                    heard[42 : 34 + length],
                )

    def close(self) -> None:
        """No more frames."""
        self._socket.close()


def frame(head: bytes, source: tuple[str, int], destination: tuple[str, int], payload: bytes) -> bytes:
    """An Ethernet frame with a UDP datagram of IPv4, which may do without a UDP checksum (RFC 768)."""
    length = len(payload) + 28
    start = struct.pack("!BBHHHBB", 0x45, 0, length, 0, 0x4000, 64, socket.IPPROTO_UDP)
    addresses = socket.inet_aton(source[0]) + socket.inet_aton(destination[0])
    words: int = sum(struct.unpack("!9H", start + addresses))
    words = (words & 0xFFFF) + (words >> 16)
    checksum = ~((words & 0xFFFF) + (words >> 16)) & 0xFFFF
    ports = struct.pack("!HHHH", source[1], destination[1], length - 20, 0)
    return head + start + checksum.to_bytes(2) + addresses + ports + payload


class Lab:
    """One forwarder's network; several labs exist side by side and do not see each other."""

    def __init__(self, load: Namespace, forwarder: Namespace, directory: Path) -> None:
        self.load = load
        self.forwarder = forwarder
        self.directory = directory
        self.clients = Tap(load, "clients", "public")
        self.far = Tap(load, "far", "hop")
        self._heads = tuple(mac(peer) + mac(own) + b"\x08\0" for own, peer in (("clients", "public"), ("far", "hop")))
        self._flows = directory / "flows"

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Both taps take what comes."""
        self.clients.listen(True)
        self.far.listen(True)
        try:
            yield
        finally:
            self.clients.listen(False)
            self.far.listen(False)

    def start(
        self, command: Sequence[str], log: IO[bytes], environment: dict[str, str] | None
    ) -> subprocess.Popen[bytes]:
        """Runs a forwarder inside, on its core alone."""
        return _start(self.forwarder, FORWARDER_CORE, command, log, log, environment)

    def write(self, flows: Sequence[Ways], first: int = 0) -> None:
        """Lay down what the load sends, for flows from the `first` one on."""
        with self._flows.open("wb") as file:
            for number, ways in enumerate(flows, first):
                client = client_of(number)
                for head, source, destination, payload in (
                    (self._heads[0], client, ways.up_to, ways.up),
                    (self._heads[1], FAR, ways.down_to, ways.down),
                ):
                    whole = frame(head, source, destination, payload)
                    slot = struct.pack("<HH", len(whole), len(whole) - PAYLOAD) + whole
                    file.write(slot.ljust(_SLOT, b"\0"))

    def measure(
        self, program: Path, seconds: float, rate: float, up: int, schedstats: Sequence[str], late: float = 0.01
    ) -> Outcome:
        """Send at this rate, `up` percent of it from clients, and see what comes."""
        burst = 1 if rate <= BURST_FROM else 8
        command = [str(program), str(self._flows), "clients", "far"]
        command += map(str, (seconds, rate, up, burst, late * 1e6))
        running = _start(self.load, LOAD_CORE, [*command, *schedstats], subprocess.PIPE, subprocess.PIPE)
        try:
            said, complaint = running.communicate()
        except BaseException:
            running.kill()
            raise
        if running.returncode:
            raise RuntimeError(f"the load failed: {complaint.decode().strip()}")
        told = json.loads(said)
        return Outcome(**{**told, "up": Way(**told["up"]), "down": Way(**told["down"])})

    def close(self) -> None:
        """Away with the taps; the namespaces belong to somebody else."""
        self.clients.close()
        self.far.close()


def _start(
    inside: Namespace,
    core: int,
    command: Sequence[str],
    output: IO[bytes] | int,
    errors: IO[bytes] | int,
    environment: dict[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """A process before which everybody else on this machine steps back, as far as the kernel lets it."""
    started = subprocess.Popen(
        [*inside.enter, "nice", "-n", "-20", "taskset", "-c", str(core), *command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        env=environment,
        start_new_session=True,
    )
    autogroup = Path(f"/proc/{started.pid}/autogroup")
    if autogroup.exists():  # with it, priorities count only among a session's own processes
        autogroup.write_text("-20")
    return started


@contextmanager
def lab(directory: Path) -> Iterator[Lab]:
    """A network that is gone at the end."""
    with namespaces("load", "forwarder") as (load, forwarder):
        wire(load, "clients", forwarder, "public")
        wire(load, "far", forwarder, "hop")
        for end, interface in ((load, "clients"), (load, "far"), (forwarder, "public"), (forwarder, "hop")):
            end.ip(f"link set {interface} address {mac(interface).hex(':')}")
            # What a forwarder sends in one piece is cut into datagrams at its own cost, as most cards would have it.
            end.run("ethtool", "-K", interface, "tx-udp-segmentation", "off")
        address(forwarder, "public", f"{PUBLIC[0]}/24")
        address(forwarder, "hop", f"{HOP}/24")
        for interface, neighbour in (("public", _ROUTER), ("hop", FAR[0])):
            forwarder.ip(f"neigh add {neighbour} lladdr {NOBODY.hex(':')} dev {interface} nud permanent")
        forwarder.ip(f"route add {_CLIENTS} via {_ROUTER}")
        forwarder.run("sysctl", "-q", "-w", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.public.rp_filter=0")
        made = Lab(load, forwarder, directory)
        try:
            yield made
        finally:
            made.close()


@contextmanager
def cable(directory: Path) -> Iterator[Lab]:
    """The load's two interfaces, and nothing between them."""
    with namespaces("load") as (load,):
        wire(load, "clients", load, "far")
        made = Lab(load, load, directory)
        try:
            yield made
        finally:
            made.close()


def compile_load(directory: Path) -> Path:
    """The load, built by the compiler of this machine."""
    program = directory / "load"
    subprocess.run(("gcc", "-O2", "-o", program, Path(__file__).with_name("load.c")), check=True)
    return program
