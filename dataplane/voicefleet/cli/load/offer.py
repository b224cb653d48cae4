"""What a synthetic caller offers, and what it reads in the answer."""

import secrets
from dataclasses import dataclass

UFRAG = "load"


@dataclass(frozen=True, slots=True)
class Answered:
    """What an answer says of the other side."""

    ufrag: str
    password: bytes
    fingerprint: bytes
    candidates: tuple[tuple[str, int], ...]
    """UDP, the best first."""


def offer(fingerprint: bytes) -> str:
    """One audio stream, both ways, Opus."""
    lines = [
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "c=IN IP4 0.0.0.0",
        f"a=ice-ufrag:{UFRAG}",
        f"a=ice-pwd:{secrets.token_hex(16)}",
        f"a=fingerprint:sha-256 {':'.join(f'{octet:02X}' for octet in fingerprint)}",
        "a=setup:actpass",
        "a=mid:0",
        "a=sendrecv",
        "a=rtcp-mux",
        "a=rtpmap:111 opus/48000/2",
        "",
    ]
    return "\r\n".join(lines)


def read_answer(text: str) -> Answered:
    """Raises ValueError for what is no answer to that."""
    found: dict[str, str] = {}
    candidates: list[tuple[int, str, int]] = []
    for line in text.splitlines():
        name, _, value = line.removeprefix("a=").partition(":")
        if name in ("ice-ufrag", "ice-pwd", "fingerprint"):
            found[name] = value
        elif name == "candidate":
            fields = value.split()
            if len(fields) >= 6 and fields[2].lower() == "udp":
                candidates.append((int(fields[3]), fields[4], int(fields[5])))
    try:
        digest = bytes.fromhex(found["fingerprint"].partition(" ")[2].replace(":", ""))
        ufrag, password = found["ice-ufrag"], found["ice-pwd"].encode()
    except KeyError as error:
        raise ValueError(f"the answer has no {error.args[0]}") from None
    if not candidates:
        raise ValueError("the answer names no UDP address")
    best_first = sorted(candidates, reverse=True)
    return Answered(ufrag, password, digest, tuple((address, port) for _, address, port in best_first))
