"""Microseconds a call of every function of `voicefleet.wire`, with the same work done by aioice or aiortc beside it.

Rounds go over all cases, and within a case from here to there, A B A B: a neighbour on the machine then slows both. A
ratio is the median over the rounds; an absolute time is the fastest round, since other load can only add to it. The
clock counts processor time, so that waiting for a core is not taken for work.
"""

import os
import time
from dataclasses import dataclass
from statistics import median
from timeit import Timer
from typing import Any, Final

import aioice.stun
from aiortc import rtp as aiortc
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.utils import uint16_gt

from tests.bench.report import Bar, Report, Row
from voicefleet.wire import client_secret, demux, hop, red, rtcp, rtp, sequence, stun, transport_feedback
from voicefleet.wire.keyring import FleetKey, KeyRing
from voicefleet.wire.route_token import Route, TokenOpener, ice_password, mint

TITLE = "Wire formats beside aioice and aiortc, microseconds a call"

SLICE: Final = 0.002
"""Seconds that one side of one case runs at a time."""
ROUNDS: Final = 300
QUICK_ROUNDS: Final = 50
QUICK_SECONDS: Final = 30.0
"""Of wall time, on a machine where cores are hard to get; a quick run does with the rounds it has by then."""

KEY: Final = FleetKey(3, bytes(range(32)), 0.0, None)
RING: Final = KeyRing("demo", (KEY,))
TOKEN: Final = mint(Route("10.1.2.3", 4478, 7, 42), KEY, RING.fleet_tag).encode()
TOKEN_V2: Final = mint(Route("fd00::1", 4478, 7, 43), KEY, RING.fleet_tag).encode()
PASSWORD: Final = ice_password(TOKEN, KEY)
CLIENT: Final = ("192.0.2.7", 40_000)
TRANSACTION: Final = bytes(range(12))
USERNAME: Final = TOKEN.decode() + ":abcd"
CHECK: Final = stun.encode(
    stun.Message(
        stun.Class.REQUEST,
        stun.BINDING,
        TRANSACTION,
        username=USERNAME,
        others=((0xC057, bytes.fromhex("00010032")),),
        ice_controlling=1 << 63,
        use_candidate=True,
        priority=1_853_824_767,
    ),
    PASSWORD,
)
"""A connectivity check with what Chromium puts into it."""

AUDIO: Final = bytes(160)
EXTENSIONS: Final = {1: b"\x8a", 2: b"\1\2\3", 3: b"\0\7", 4: b"0"}
"""Audio level, send time, transport-wide sequence number and media id, as Chromium sends them with Opus."""
OPUS: Final = rtp.encode(rtp.RtpHeader(111, False, 4711, 960, 0xCAFE, (), *rtp.encode_extensions(EXTENSIONS)), AUDIO)
BARE: Final = rtp.encode(rtp.RtpHeader(111, False, 4711, 960, 0xCAFE), AUDIO)
BLOCK: Final = rtcp.ReportBlock(0xCAFE, 5, 12, 70_000, 16, 0x12345678, 65_536)
SENDER_REPORT: Final = rtcp.SenderReport(0xBEEF, 0xE000000080000000, 90_000, 3, 480, (BLOCK,))
CNAME: Final = rtcp.SourceDescription((rtcp.SdesChunk(0xBEEF, ((rtcp.CNAME, b"{a-canonical-name}"),)),))
NACK: Final = rtcp.Nack(0xBEEF, 0xCAFE, (100, 101, 103, 140))
FEEDBACK: Final = transport_feedback.TransportFeedback(
    0xBEEF, 0xCAFE, 1000, 10, 77, 3, tuple(transport_feedback.Arrival(1000 + n, 80) for n in range(10) if n != 4)
)
AIORTC_REPORT: Final = aiortc.RtcpSrPacket(
    0xBEEF, aiortc.RtcpSenderInfo(0xE000000080000000, 90_000, 3, 480), [aiortc.RtcpReceiverInfo(*BLOCK)]
)
AIORTC_CNAME: Final = aiortc.RtcpSdesPacket([aiortc.RtcpSourceInfo(0xBEEF, [(1, b"{a-canonical-name}")])])
AIORTC_NACK: Final = aiortc.RtcpRtpfbPacket(1, 0xBEEF, 0xCAFE, [100, 101, 103, 140])
AIORTC_EXTENSIONS: Final = aiortc.HeaderExtensionsMap()
AIORTC_EXTENSIONS.configure(
    RTCRtpParameters(
        headerExtensions=[
            RTCRtpHeaderExtensionParameters(id=number, uri=uri)
            for number, uri in (
                (1, "urn:ietf:params:rtp-hdrext:ssrc-audio-level"),
                (2, "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"),
                (3, "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"),
                (4, "urn:ietf:params:rtp-hdrext:sdes:mid"),
            )
        ]
    )
)
HEADER: Final = hop.seal(hop.Kind.DATA, hop.Flag(0), CLIENT, KEY)
SECRET: Final = client_secret.ClientSecret(
    "shop", 1_800_000_000, {"type": "realtime", "instructions": "Be brief. " * 20}
)
RED: Final = [red.RedBlock(111, 1920, AUDIO), red.RedBlock(111, 960, AUDIO), red.RedBlock(111, 0, AUDIO)]


@dataclass(frozen=True, slots=True)
class Case:
    """One piece of work: the statement that does it here, and the one that does it there."""

    name: str
    here: str
    there: str = ""
    library: str = ""


_AIOICE_REPLY = (
    "m = aioice.Message(aioice.Method.BINDING, aioice.Class.{kind}, TRANSACTION, {attributes}); "
    "m.add_message_integrity(PASSWORD); bytes(m)"
)
PEEK = Case("STUN check, partial parse", "peek(CHECK)", "aioice.parse_message(CHECK)", "aioice")
VERIFY = Case(
    "STUN check, partial parse, token opened, password derived, integrity verified",
    "_, _, name, at = peek(CHECK); token = name[:name.index(b':')]; opener.open(token); "
    "integrity_ok(CHECK, at, opener.password(token))",
    "aioice.parse_message(CHECK).check_message_integrity(PASSWORD)",
    "aioice",
)
RTP_HEADER = Case(
    "RTP header, elements left as bytes", "rtp.decode_header(OPUS)", "aiortc.RtpPacket.parse(OPUS, MAP)", "aiortc"
)
HOP_IN = Case("hop, known flow: header off", "known.get(DATAGRAM[:32]); DATAGRAM[32:]")
HOP_OUT = Case("hop, known flow: header on", "HEADER + OPUS")
"""Each is what relay and transceiver do for a packet of a flow that they have met."""

CASES: Final = (
    PEEK,
    Case("STUN check, full parse", "stun.decode(CHECK)", "aioice.parse_message(CHECK)", "aioice"),
    VERIFY,
    Case(
        "STUN check, written",
        "stun.binding_request(TRANSACTION, USERNAME, PASSWORD, priority=1, controlling=2)",
        _AIOICE_REPLY.format(kind="REQUEST", attributes="{'USERNAME': USERNAME, 'PRIORITY': 1, 'ICE-CONTROLLING': 2}"),
        "aioice",
    ),
    Case(
        "STUN answer, written",
        "stun.binding_success(TRANSACTION, CLIENT, PASSWORD)",
        _AIOICE_REPLY.format(kind="RESPONSE", attributes="{'XOR-MAPPED-ADDRESS': CLIENT}"),
        "aioice",
    ),
    Case(
        "STUN refusal, written",
        "stun.binding_error(TRANSACTION, 400, 'Bad Request', PASSWORD)",
        _AIOICE_REPLY.format(kind="ERROR", attributes="{'ERROR-CODE': (400, 'Bad Request')}"),
        "aioice",
    ),
    Case("route token v1, minted", "mint(ROUTE, KEY, 5)"),
    Case("route token v1, opened", "opener.open(TOKEN)"),
    Case("route token v2, opened", "opener.open(TOKEN_V2)"),
    Case("ICE password, derived", "opener.password(TOKEN)"),
    Case("client secret, sealed", "client_secret.seal(SECRET, KEY, 5, urandom)"),
    Case("client secret, opened", "client_secret.open_secret(SEALED, RING)"),
    Case("key ring of one key, parsed", "KeyRing.parse(DOCUMENT)"),
    HOP_IN,
    HOP_OUT,
    Case("hop header, sealed", "hop.seal(DATA, NO_FLAGS, CLIENT, KEY)"),
    Case("hop header, opened", "hop.open(HEADER, RING)"),
    Case("hop, six packets bundled", "hop.bundle(PARTS)"),
    Case("hop, six packets unbundled", "hop.unbundle(BUNDLE)"),
    Case("kind of a packet, by a call", "classify(OPUS)"),
    Case("kind of a packet, by the table that hot loops use", "KINDS[OPUS[0]]"),
    RTP_HEADER,
    Case(
        "RTP header, payload and each element",
        "h = rtp.decode_header(OPUS); rtp.extensions(h); h.payload(OPUS)",
        "aiortc.RtpPacket.parse(OPUS, MAP)",
        "aiortc",
    ),
    Case("RTP header without extension", "rtp.decode_header(BARE)", "aiortc.RtpPacket.parse(BARE, MAP)", "aiortc"),
    Case(
        "RTP packet of one sender, written",
        "template.encode(4711, 960) + AUDIO",
        "aiortc.RtpPacket(111, 0, 4711, 960, 0xCAFE, AUDIO).serialize(MAP)",
        "aiortc",
    ),
    Case(
        "RTP packet with elements, written",
        "profile, octets = rtp.encode_extensions(EXTENSIONS); "
        "rtp.encode(rtp.RtpHeader(111, False, 4711, 960, 0xCAFE, (), profile, octets), AUDIO)",
        "p = aiortc.RtpPacket(111, 0, 4711, 960, 0xCAFE, AUDIO); p.extensions = AIORTC_VALUES; p.serialize(MAP)",
        "aiortc",
    ),
    Case("sequence numbers compared", "sequence_distance(5, 65530) > 0", "uint16_gt(5, 65530)", "aiortc"),
    Case("timestamp extended", "extend_timestamp(5, 1 << 33)"),
    Case("RTCP sender report with name, read", "rtcp.decode(REPORT)", "aiortc.RtcpPacket.parse(REPORT)", "aiortc"),
    Case(
        "RTCP sender report with name, written",
        "rtcp.encode((SENDER_REPORT, CNAME))",
        "bytes(AIORTC_REPORT) + bytes(AIORTC_CNAME)",
        "aiortc",
    ),
    Case("RTCP NACK, read", "rtcp.decode(NACKED)", "aiortc.RtcpPacket.parse(NACKED)", "aiortc"),
    Case("RTCP NACK, written", "rtcp.encode((NACK,))", "bytes(AIORTC_NACK)", "aiortc"),
    Case("transport feedback on ten packets, read", "rtcp.decode(FED_BACK)"),
    Case("transport feedback on ten packets, written", "rtcp.encode((FEEDBACK,))"),
    Case("RED with two copies, read", "red.decode(RED_PAYLOAD)"),
    Case("RED with two copies, written", "red.encode(RED)"),
)


def _names() -> dict[str, Any]:
    """What the statements name; functions that a hot path would bind are bound."""
    parts = [(HEADER, AUDIO)] * 6
    values = aiortc.HeaderExtensions(
        abs_send_time=0x010203, audio_level=(True, 10), mid="0", transport_sequence_number=7
    )
    return globals() | {
        "aioice": aioice.stun,
        "MAP": AIORTC_EXTENSIONS,
        "AIORTC_VALUES": values,
        "peek": stun.peek,
        "integrity_ok": stun.integrity_ok,
        "opener": TokenOpener(RING),
        "ROUTE": Route("10.1.2.3", 4478, 7, 42),
        "urandom": os.urandom,
        "SEALED": client_secret.seal(SECRET, KEY, RING.fleet_tag, os.urandom),
        "DOCUMENT": RING.dump(),
        "DATAGRAM": HEADER + OPUS,
        "known": {HEADER: "flow", HEADER[::-1]: "another"},
        "DATA": hop.Kind.DATA,
        "NO_FLAGS": hop.Flag(0),
        "PARTS": parts,
        "BUNDLE": hop.bundle(parts)[0],
        "classify": demux.classify,
        "KINDS": demux.FIRST_OCTET,
        "template": rtp.HeaderTemplate(111, 0xCAFE),
        "sequence_distance": sequence.sequence_distance,
        "extend_timestamp": sequence.extend_timestamp,
        "uint16_gt": uint16_gt,
        "REPORT": rtcp.encode((SENDER_REPORT, CNAME)),
        "NACKED": rtcp.encode((NACK,)),
        "FED_BACK": rtcp.encode((FEEDBACK,)),
        "RED_PAYLOAD": red.encode(RED),
    }


class _Side:
    """One statement, timed in slices of about the same length whatever it costs."""

    def __init__(self, statement: str, names: dict[str, Any]) -> None:
        self._timer = Timer(statement, timer=time.thread_time, globals=names)
        self._calls = 1
        while self._timer.timeit(self._calls) < SLICE / 2:
            self._calls *= 2
        self.rounds: list[float] = []

    def measure(self) -> None:
        """One slice more."""
        self.rounds.append(self._timer.timeit(self._calls) / self._calls * 1e6)


class _Measured:
    """A case with both its sides."""

    def __init__(self, case: Case, names: dict[str, Any]) -> None:
        self._case = case
        self._here = _Side(case.here, names)
        self._there = _Side(case.there, names) if case.there else None

    def measure(self) -> None:
        self._here.measure()
        if self._there is not None:
            self._there.measure()

    @property
    def microseconds(self) -> float:
        """Of one call, here."""
        return min(self._here.rounds)

    @property
    def ratio(self) -> float:
        """Here to there."""
        assert self._there is not None, self._case
        return median(here / there for here, there in zip(self._here.rounds, self._there.rounds, strict=True))

    def rows(self) -> list[Row]:
        case = self._case
        rows = [Row(case.name, "here", self.microseconds, "us")]
        if self._there is not None:
            rows.append(Row(case.name, case.library, min(self._there.rounds), "us"))
            rows.append(Row(case.name, "ratio", self.ratio, f"x {case.library}"))
        return rows


def run(quick: bool) -> Report:
    """Measure every case; a quick run takes about eight seconds."""
    names = _names()
    _the_same_work(names)
    measured = {case: _Measured(case, names) for case in CASES}
    stop = time.monotonic() + QUICK_SECONDS
    for _ in range(QUICK_ROUNDS if quick else ROUNDS):
        for each in measured.values():
            each.measure()
        if quick and time.monotonic() > stop:
            break
    return Report(
        "wire",
        [row for each in measured.values() for row in each.rows()],
        (
            Bar.at_most("partial STUN parse, x aioice's parse", measured[PEEK].ratio, 0.15),
            Bar.at_most("full request verify, us", measured[VERIFY].microseconds, 8),
            Bar.at_most("RTP header parse, x aiortc's", measured[RTP_HEADER].ratio, 0.3),
            Bar.at_most("hop header of a known flow, in, us", measured[HOP_IN].microseconds, 0.2),
            Bar.at_most("hop header of a known flow, out, us", measured[HOP_OUT].microseconds, 0.2),
        ),
    )


def _the_same_work(names: dict[str, Any]) -> None:
    """A figure of work that fails, or of other work than the neighbour's, would be worth nothing."""
    assert aioice.stun.parse_message(CHECK).check_message_integrity(PASSWORD)
    _, _, name, at = stun.peek(CHECK)
    assert name == USERNAME.encode() and stun.integrity_ok(CHECK, at, names["opener"].password(TOKEN))
    assert names["known"].get(names["DATAGRAM"][:32]) == "flow"
    read, header = aiortc.RtpPacket.parse(OPUS, AIORTC_EXTENSIONS), rtp.decode_header(OPUS)
    assert (read.sequence_number, read.payload) == (header.sequence, header.payload(OPUS))
    assert read.extensions == names["AIORTC_VALUES"] and rtp.extensions(header) == EXTENSIONS
    read.extensions = names["AIORTC_VALUES"]
    assert dict(rtp.extensions(rtp.decode_header(read.serialize(AIORTC_EXTENSIONS)))) == EXTENSIONS
    assert aiortc.RtcpPacket.parse(names["REPORT"]) == [AIORTC_REPORT, AIORTC_CNAME]
    assert aiortc.RtcpPacket.parse(names["NACKED"]) == [AIORTC_NACK]
