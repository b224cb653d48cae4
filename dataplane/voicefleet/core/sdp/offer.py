"""Reads the offer of a WebRTC client into values; an offer that cannot be served is an `OfferError` with line and why.

It promises linear time, a bounded result and no exception but `OfferError`, whatever the text. It reads what the field
sends: no BUNDLE group (GStreamer), no candidates, audio and application in any order, any payload types, extra media
sections (which the answer refuses). It decides nothing; what is answered is in `voicefleet.core.sdp.answer`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

MAX_OFFER: Final = 64 * 1024
MAX_LINES: Final = 2000
MAX_SECTIONS: Final = 32
DIGESTS: Final = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
"""Fingerprint algorithms that are believed, and their length in octets."""
_STATIC: Final = {0: ("pcmu", 8000, 1), 8: ("pcma", 8000, 1), 9: ("g722", 8000, 1), 13: ("cn", 8000, 1)}
"""Payload types of RFC 3551 that need no rtpmap."""
_DIRECTIONS: Final = ("sendrecv", "sendonly", "recvonly", "inactive")


class OfferError(ValueError):
    """An offer that cannot be served: the line at fault (0: the whole) and the reason, for the person who sent it."""

    def __init__(self, line: int, text: str, reason: str) -> None:
        where = f"line {line} ({text[:80]!r}): " if line else ""
        super().__init__(f"{where}{reason}")
        self.line = line
        self.text = text
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Codec:
    """One payload type of an audio section."""

    payload_type: int
    name: str
    """In lower case."""
    clock_rate: int
    channels: int
    parameters: str = ""
    """The fmtp line's text."""
    feedback: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a section says about ICE and DTLS."""

    ufrag: str
    password: str
    fingerprints: tuple[tuple[str, bytes], ...]
    """(algorithm, digest) of the client's certificate."""
    setup: str
    """actpass, active or passive."""


@dataclass(frozen=True, slots=True)
class Section:
    """One m= section, with what a voice call can use of it."""

    kind: str
    mid: str | None
    port: int
    """0 where the client wants none of it, or nothing without bundling (`bundle_only`)."""
    protocol: str
    formats: tuple[str, ...]
    direction: str = "sendrecv"
    codecs: tuple[Codec, ...] = ()
    extensions: tuple[tuple[int, str], ...] = ()
    """(id, uri) of RTP header extensions."""
    rtcp_mux: bool = False
    rtcp_rsize: bool = False
    bundle_only: bool = False
    sctp_port: int | None = None
    max_message_size: int | None = None
    line: int = 0


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer that has one usable audio section or a data channel, and credentials for them."""

    sections: tuple[Section, ...]
    bundle: tuple[str, ...] | None
    """The mids of the BUNDLE group; None where the client knows no bundling."""
    credentials: Credentials
    audio: Section | None
    """The section that is served, as is the next one; every other section is refused."""
    application: Section | None


@dataclass(slots=True)
class _Lines:
    """The attributes of one level (session or section) while it is read."""

    line: int
    media: str = ""
    values: dict[str, list[tuple[int, str]]] = field(default_factory=dict)

    def first(self, name: str) -> tuple[int, str] | None:
        found = self.values.get(name)
        return found[0] if found else None

    def all(self, name: str) -> list[tuple[int, str]]:
        return self.values.get(name, [])


def read_offer(text: str) -> Offer:
    """The offer in a text; raises `OfferError`."""
    session, levels = _split(text)
    lite = session.first("ice-lite")
    if lite is not None:
        raise OfferError(lite[0], "a=ice-lite", "this side is lite as well, and one of the two has to check")
    sections = tuple(_section(session, level) for level in levels)
    bundle = _bundle(session)
    audio, application = _served(sections, bundle)
    if audio is None and application is None:
        raise OfferError(0, "", "there is neither an audio section nor a data channel that could be served")
    if audio is not None and not audio.rtcp_mux:
        raise OfferError(audio.line, "m=audio", "RTCP on a port of its own is not served: offer a=rtcp-mux")
    leading = next(level for level, section in zip(levels, sections, strict=True) if section in (audio, application))
    return Offer(sections, bundle, _credentials(session, leading), audio, application)


def _served(sections: Sequence[Section], bundle: tuple[str, ...] | None) -> tuple[Section | None, Section | None]:
    """The audio section and the data channel that can be served over one transport."""

    def wanted(section: Section) -> bool:
        return bool(section.port) or (section.bundle_only and bundle is not None and section.mid in bundle)

    audio = next((s for s in sections if s.kind == "audio" and wanted(s) and s.codecs), None)
    application = next((s for s in sections if s.kind == "application" and wanted(s) and "SCTP" in s.protocol), None)
    if audio is not None and application is not None and not (bundle and {audio.mid, application.mid} <= set(bundle)):
        # Each would need a transport of its own: the first of the two is served.
        return (audio, None) if audio.line < application.line else (None, application)
    return audio, application


def _split(text: str) -> tuple[_Lines, list[_Lines]]:
    if len(text) > MAX_OFFER:
        raise OfferError(0, "", f"longer than {MAX_OFFER} characters")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if len(lines) > MAX_LINES:
        raise OfferError(0, "", f"more than {MAX_LINES} lines")
    if lines[0] != "v=0":
        raise OfferError(1, lines[0], "an offer begins with v=0")
    session = _Lines(0)
    levels: list[_Lines] = []
    level = session
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        if len(line) < 2 or line[1] != "=" or not line[0].isalpha():
            raise OfferError(number, line, "not of the form x=value")
        if line[0] == "m":
            if len(levels) == MAX_SECTIONS:
                raise OfferError(number, line, f"more than {MAX_SECTIONS} media sections")
            level = _Lines(number, line[2:])
            levels.append(level)
        elif line[0] == "a":
            name, _, value = line[2:].partition(":")
            level.values.setdefault(name, []).append((number, value))
    return session, levels


def _section(session: _Lines, level: _Lines) -> Section:
    fields = level.media.split(" ")
    if len(fields) < 4 or not fields[1].partition("/")[0].isdecimal():
        raise OfferError(level.line, f"m={level.media}", "not of the form m=<media> <port> <protocol> <format> ...")
    kind, port, protocol, *formats = fields
    mid = level.first("mid")
    direction = next(
        (name for values in (level.values, session.values) for name in _DIRECTIONS if name in values), "sendrecv"
    )
    sctp = level.first("sctp-port")
    size = level.first("max-message-size")
    return Section(
        kind=kind,
        mid=_mid(*mid) if mid else None,
        port=int(port.partition("/")[0][:6]),
        protocol=protocol,
        formats=tuple(formats),
        direction=direction,
        codecs=_codecs(level, formats) if kind == "audio" else (),
        extensions=tuple(_extensions(level)) if kind == "audio" else (),
        rtcp_mux="rtcp-mux" in level.values,
        rtcp_rsize="rtcp-rsize" in level.values,
        bundle_only="bundle-only" in level.values,
        sctp_port=_number(*sctp, 65535) if sctp else None,
        max_message_size=_number(*size, 2**64) if size else None,
        line=level.line,
    )


def _codecs(level: _Lines, formats: list[str]) -> tuple[Codec, ...]:
    maps = {_payload(number, value): (number, value) for number, value in level.all("rtpmap")}
    parameters = {_payload(number, value): value.partition(" ")[2] for number, value in level.all("fmtp")}
    feedback: dict[str, list[str]] = {}
    for _, value in level.all("rtcp-fb"):
        which, _, kind = value.partition(" ")
        feedback.setdefault(which, []).append(kind)
    codecs = []
    for text in formats:
        if not text.isdecimal() or not text.isascii() or int(text[:4]) > 127:
            raise OfferError(level.line, f"m={level.media}", f"{text[:20]!r} is no payload type")
        payload_type = int(text)
        if payload_type in maps:
            name, rate, channels = _rtpmap(*maps[payload_type])
        elif payload_type in _STATIC:
            name, rate, channels = _STATIC[payload_type]
        else:
            continue
        kinds = tuple(feedback.get(text, []) + feedback.get("*", []))
        codecs.append(Codec(payload_type, name, rate, channels, parameters.get(payload_type, ""), kinds))
    return tuple(codecs)


def _rtpmap(number: int, value: str) -> tuple[str, int, int]:
    encoding = value.partition(" ")[2]
    name, _, rest = encoding.partition("/")
    rate, _, channels = rest.partition("/")
    if not name or not rate.isdecimal() or len(rate) > 7 or (channels and not channels.isdecimal()):
        raise OfferError(number, f"a=rtpmap:{value}", "not of the form <type> <name>/<clock rate>[/<channels>]")
    return name.lower(), int(rate), int(channels[:3] or 1)


def _extensions(level: _Lines) -> list[tuple[int, str]]:
    found = []
    for number, value in level.all("extmap"):
        which, _, uri = value.partition(" ")
        digits = which.partition("/")[0]
        if not digits.isdecimal() or not 1 <= int(digits[:6]) <= 65535:
            raise OfferError(number, f"a=extmap:{value}", "an extension's id is a number from 1")
        found.append((int(digits), uri.partition(" ")[0]))
    return found


def _credentials(session: _Lines, level: _Lines) -> Credentials:
    def needed(name: str) -> tuple[int, str]:
        found = level.first(name) or session.first(name)
        if found is None:
            raise OfferError(level.line, f"m={level.media}", f"a={name} is missing")
        return found

    ufrag_line, ufrag = needed("ice-ufrag")
    if not 4 <= len(ufrag) <= 256 or not ufrag.isascii():
        raise OfferError(ufrag_line, f"a=ice-ufrag:{ufrag}", "4 to 256 characters are needed")
    password_line, password = needed("ice-pwd")
    if not 22 <= len(password) <= 256 or not password.isascii():
        raise OfferError(password_line, "a=ice-pwd:...", "22 to 256 characters are needed")
    needed("fingerprint")
    fingerprints = [_fingerprint(*one) for one in level.all("fingerprint") or session.all("fingerprint")]
    believed = tuple(one for one in fingerprints if one is not None)
    if not believed:
        raise OfferError(*needed("fingerprint"), f"no fingerprint is of {', '.join(DIGESTS)}")
    setup_line, setup = level.first("setup") or session.first("setup") or (0, "actpass")
    if setup not in ("actpass", "active", "passive"):
        raise OfferError(setup_line, f"a=setup:{setup}", "allowed: actpass, active, passive")
    return Credentials(ufrag, password, believed, setup)


def _fingerprint(number: int, value: str) -> tuple[str, bytes] | None:
    algorithm, _, digits = value.partition(" ")
    algorithm = algorithm.lower()
    if algorithm not in DIGESTS:
        return None
    try:
        digest = bytes.fromhex(digits.replace(":", ""))
    except ValueError:
        digest = b""
    if len(digest) != DIGESTS[algorithm]:
        raise OfferError(number, f"a=fingerprint:{value}", f"not a {algorithm} digest in hexadecimal")
    return algorithm, digest


def _bundle(session: _Lines) -> tuple[str, ...] | None:
    for _, value in session.all("group"):
        semantics, *mids = value.split(" ")
        if semantics == "BUNDLE":
            return tuple(mids)
    return None


def _mid(number: int, value: str) -> str:
    if not value or len(value) > 64 or not value.isascii() or not value.isprintable() or " " in value:
        raise OfferError(number, f"a=mid:{value}", "not a token of 1 to 64 characters")
    return value


def _payload(number: int, value: str) -> int:
    digits = value.partition(" ")[0]
    if not digits.isdecimal() or not digits.isascii() or int(digits[:4]) > 127:
        raise OfferError(number, value, "does not begin with a payload type")
    return int(digits)


def _number(number: int, value: str, most: int) -> int:
    if not value.isdecimal() or not value.isascii() or len(value) > 20 or int(value) > most:
        raise OfferError(number, value, f"not a number up to {most}")
    return int(value)
