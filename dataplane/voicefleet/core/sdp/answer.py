"""Decides what of an offer is taken, and writes the answer: ICE-lite, the relays as our own candidates, and DTLS as the
client, so that our ClientHello can leave with the answer to the first check.

One audio section and one data channel are taken; every other section is refused with port 0, in its place. Opus is
preferred, with RED where the client offers it; PCMU and PCMA are the fallback.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from voicefleet.core.sdp.offer import Codec, Offer, OfferError, Section

MID_EXTENSION: Final = "urn:ietf:params:rtp-hdrext:sdes:mid"
TRANSPORT_SEQUENCE: Final = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
CNAME: Final = "voicefleet"
"""Our name in RTCP and in the answer: one for all calls, so that it tells nothing (RFC 7022)."""
MAX_MESSAGE: Final = 262144
"""Octets of one data channel message: what browsers send at most."""
MAX_EXTENSION: Final = 255
"""Highest id that an RTP header can carry (RFC 8285)."""
_PREFERENCE: Final = 65535
_FLIPPED: Final = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}


class Setup(StrEnum):
    """Our side of DTLS."""

    ACTIVE = "active"
    PASSIVE = "passive"


def setup_for(offer: Offer) -> Setup:
    """Active wherever the client leaves it to us (RFC 8842 section 5.3)."""
    return Setup.PASSIVE if offer.credentials.setup == "active" else Setup.ACTIVE


@dataclass(frozen=True, slots=True)
class RelayAddress:
    """A relay's public address, as the client is told it."""

    address: str
    port: int
    tcp: bool = False


@dataclass(frozen=True, slots=True)
class AudioPlan:
    """The audio that both sides can do."""

    codec: Codec
    red: int | None = None
    """Payload type of RED around the codec."""
    telephone_event: tuple[int, ...] = ()
    comfort_noise: int | None = None
    """RFC 3389, beside G.711; Opus has its own."""
    nack: bool = False
    reduced_size: bool = False
    transport_sequence: int | None = None
    """Id of the extension that numbers packets for transport-wide feedback, where the client wants that."""
    extensions: tuple[tuple[int, str], ...] = ()
    """All that are understood."""
    direction: str = "sendrecv"
    """As seen from here."""


@dataclass(frozen=True, slots=True)
class Local:
    """Our side of the call."""

    ufrag: str
    password: str
    fingerprint: bytes
    """SHA-256 of our certificate."""
    session_id: int
    version: int
    ssrc: int
    relays: Sequence[RelayAddress]


def plan_audio(section: Section) -> AudioPlan:
    """What is taken of an audio section; raises `OfferError` if there is no codec in common."""
    codec = next(
        (c for name in ("opus", "pcmu", "pcma") for c in section.codecs if c.name == name and _served(c)),
        None,
    )
    if codec is None:
        offered = ", ".join(sorted({c.name for c in section.codecs}))
        raise OfferError(section.line, "m=audio", f"no codec in common: offered {offered}; served opus, pcmu, pcma")
    red = None
    if codec.name == "opus":
        # RFC 2198: the fmtp names the payload types inside; it has to be our Opus.
        wanted = {str(codec.payload_type)}
        red = next(
            (c.payload_type for c in section.codecs if c.name == "red" and set(c.parameters.split("/")) == wanted), None
        )
    events = tuple(
        c.payload_type for c in section.codecs if c.name == "telephone-event" and c.clock_rate == codec.clock_rate
    )
    noise = next((c.payload_type for c in section.codecs if c.name == "cn" and c.clock_rate == codec.clock_rate), None)
    sequence = next((number for number, uri in section.extensions if uri == TRANSPORT_SEQUENCE), None)
    if sequence is not None and ("transport-cc" not in codec.feedback or sequence > MAX_EXTENSION):
        sequence = None
    return AudioPlan(
        codec=codec,
        red=red,
        telephone_event=events[:1],
        comfort_noise=noise if codec.name != "opus" else None,
        nack=codec.name == "opus",
        reduced_size=section.rtcp_rsize,
        transport_sequence=sequence,
        extensions=tuple(e for e in section.extensions if e[1] == MID_EXTENSION or e[0] == sequence),
        direction=_FLIPPED[section.direction],
    )


def _served(codec: Codec) -> bool:
    return (codec.name, codec.clock_rate, codec.channels) in (("opus", 48000, 2), ("pcmu", 8000, 1), ("pcma", 8000, 1))


def write_answer(offer: Offer, plan: AudioPlan | None, local: Local) -> str:
    """The answer's text."""
    lines = [
        "v=0",
        f"o=- {local.session_id} {local.version} IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=ice-lite",
        "a=msid-semantic: WMS *",
    ]
    if offer.bundle is not None:
        served = [s for s in offer.sections if s is offer.audio or s is offer.application]
        lines.append(f"a=group:BUNDLE {' '.join(s.mid for s in served if s.mid in offer.bundle)}".rstrip())
    setup = setup_for(offer)
    for section in offer.sections:
        if section is offer.audio and plan is not None:
            lines += _audio(section, plan, local, setup)
        elif section is offer.application:
            lines += _application(section, local, setup)
        else:
            lines += _refused(section)
    return "\r\n".join(lines) + "\r\n"


def _refused(section: Section) -> list[str]:
    mid = [f"a=mid:{section.mid}"] if section.mid is not None else []
    return [
        f"m={section.kind} 0 {section.protocol} {' '.join(section.formats)}",
        "c=IN IP4 0.0.0.0",
        *mid,
        "a=inactive",
    ]


def _transport(section: Section, local: Local, setup: Setup) -> list[str]:
    lines = [f"a=mid:{section.mid}"] if section.mid is not None else []
    lines += [
        f"a=ice-ufrag:{local.ufrag}",
        f"a=ice-pwd:{local.password}",
        f"a=fingerprint:sha-256 {local.fingerprint.hex(':').upper()}",
        f"a=setup:{setup}",
    ]
    for order, relay in enumerate(local.relays):
        lines.append(f"a={_candidate(order, relay)}")
    return [*lines, "a=end-of-candidates"]


def _candidate(order: int, relay: RelayAddress) -> str:
    """A host candidate; the order of the relays is the order of preference (RFC 8445 section 5.1.2.1)."""
    kind_preference = 90 if relay.tcp else 126
    priority = kind_preference << 24 | (_PREFERENCE - order) << 8 | 255
    transport, tail = ("tcp", " tcptype passive") if relay.tcp else ("udp", "")
    return f"candidate:{order + 1} 1 {transport} {priority} {relay.address} {relay.port} typ host{tail}"


def _connection(local: Local) -> tuple[int, str]:
    relay = next((r for r in local.relays if not r.tcp), None)
    if relay is None:
        return 9, "IP4 0.0.0.0"
    return relay.port, f"IP{6 if ':' in relay.address else 4} {relay.address}"


def _audio(section: Section, plan: AudioPlan, local: Local, setup: Setup) -> list[str]:
    codec = plan.codec
    # RED stands first, so that the client uses it: a lost packet's frame comes with the next one.
    kinds = [kind for kind in (plan.red, codec.payload_type, plan.comfort_noise) if kind is not None]
    kinds += plan.telephone_event
    port, address = _connection(local)
    lines = [
        f"m=audio {port} {section.protocol} {' '.join(map(str, kinds))}",
        f"c=IN {address}",
        *_transport(section, local, setup),
        f"a={plan.direction}",
        "a=rtcp-mux",
    ]
    if plan.reduced_size:
        lines.append("a=rtcp-rsize")
    lines += [f"a=extmap:{number} {uri}" for number, uri in plan.extensions]
    if codec.name == "opus":
        lines += [
            f"a=rtpmap:{codec.payload_type} opus/48000/2",
            f"a=fmtp:{codec.payload_type} minptime=10;useinbandfec=1",
        ]
    else:
        lines.append(f"a=rtpmap:{codec.payload_type} {codec.name.upper()}/8000")
    if plan.nack:
        lines.append(f"a=rtcp-fb:{codec.payload_type} nack")
    if plan.transport_sequence is not None:
        lines.append(f"a=rtcp-fb:{codec.payload_type} transport-cc")
    if plan.comfort_noise is not None:
        lines.append(f"a=rtpmap:{plan.comfort_noise} CN/{codec.clock_rate}")
    if plan.red is not None:
        lines += [
            f"a=rtpmap:{plan.red} red/48000/2",
            f"a=fmtp:{plan.red} {codec.payload_type}/{codec.payload_type}",
        ]
    for event in plan.telephone_event:
        lines += [f"a=rtpmap:{event} telephone-event/{codec.clock_rate}", f"a=fmtp:{event} 0-16"]
    if plan.direction in ("sendrecv", "sendonly"):
        # The SDK's audio element takes event.streams[0]: the track has to belong to a stream.
        lines += [
            "a=msid:voicefleet audio",
            f"a=ssrc:{local.ssrc} cname:{CNAME}",
        ]
    return lines


def _application(section: Section, local: Local, setup: Setup) -> list[str]:
    port, address = _connection(local)
    return [
        f"m=application {port} {section.protocol} {' '.join(section.formats)}",
        f"c=IN {address}",
        *_transport(section, local, setup),
        f"a=sctp-port:{section.sctp_port or 5000}",
        f"a=max-message-size:{MAX_MESSAGE}",
    ]
