"""SDP fragments as WHIP's PATCH carries them (RFC 8840): new ICE credentials, or candidates that are not needed here.

An ICE-lite side never checks, so what a client trickles is read for its form and then let go: the client's own checks
bring its addresses.
"""

from dataclasses import dataclass, replace
from typing import Final

from voicefleet.core.sdp.offer import Offer, OfferError

MAX_FRAGMENT: Final = 16 * 1024
MAX_LINES: Final = 400
_KEPT: Final = ("ice-ufrag:", "ice-pwd:", "candidate:", "end-of-candidates")


@dataclass(frozen=True, slots=True)
class Fragment:
    """What a fragment says."""

    ufrag: str | None
    password: str | None
    candidates: int


def read_fragment(text: str) -> Fragment:
    """The fragment in a text, which may be empty; raises `OfferError`."""
    if len(text) > MAX_FRAGMENT:
        raise OfferError(0, "", f"a fragment has at most {MAX_FRAGMENT} characters")
    values: dict[str, str] = {}
    candidates = 0
    lines = text.splitlines()
    if len(lines) > MAX_LINES:
        raise OfferError(0, "", f"a fragment has at most {MAX_LINES} lines")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if len(line) < 3 or line[1] != "=" or not line[0].isalpha():
            raise OfferError(number, line, "not a line of SDP")
        name, _, value = line[2:].partition(":")
        if line[0] == "a" and name in ("ice-ufrag", "ice-pwd"):
            if values.setdefault(name, value) != value:
                raise OfferError(number, line, "one transport has one pair of credentials")
        elif line[0] == "a" and name == "candidate":
            candidates += 1
    ufrag, password = values.get("ice-ufrag"), values.get("ice-pwd")
    if ufrag is not None and (not 4 <= len(ufrag) <= 256 or not ufrag.isascii()):
        raise OfferError(0, "a=ice-ufrag", "4 to 256 characters are needed")
    if password is not None and (not 22 <= len(password) <= 256 or not password.isascii()):
        raise OfferError(0, "a=ice-pwd", "22 to 256 characters are needed")
    return Fragment(ufrag, password, candidates)


def restarted(offer: Offer, text: str) -> Offer:
    """The call's offer with the new credentials of a fragment; raises `OfferError` where it has none."""
    fragment = read_fragment(text)
    if fragment.ufrag is None or fragment.password is None:
        raise OfferError(0, "", "an ICE restart needs a=ice-ufrag and a=ice-pwd")
    if (fragment.ufrag, fragment.password) == (offer.credentials.ufrag, offer.credentials.password):
        raise OfferError(0, "", "an ICE restart needs new credentials, and these are those of the call")
    return replace(offer, credentials=replace(offer.credentials, ufrag=fragment.ufrag, password=fragment.password))


def fragment_of(answer: str) -> str:
    """What of an answer goes back after an ICE restart: credentials, and the candidates under their section."""
    lines = ["a=ice-lite"]
    media: list[str] = []
    for line in answer.splitlines():
        if line.startswith("m="):
            if any(kept.startswith("a=ice-ufrag") for kept in media):
                break  # all sections share one transport
            media = [line]
        elif (media and line.startswith("a=mid:")) or (media and line.startswith("a=") and line[2:].startswith(_KEPT)):
            media.append(line)
    credentials = [line for line in media if line.startswith(("a=ice-ufrag:", "a=ice-pwd:"))]
    return "\r\n".join([*lines, *credentials, *(line for line in media if line not in credentials)]) + "\r\n"


def version_of(description: str) -> str:
    """The version that an answer's o= line has; empty where there is none."""
    origin = next((line for line in description.splitlines() if line.startswith("o=")), "")
    parts = origin.split(" ")
    return parts[2] if len(parts) > 2 else ""
