"""Offers as clients really write them, and offers that lie."""

from pathlib import Path

import pytest

from voicefleet.core.sdp.answer import Local, RelayAddress, plan_audio, write_answer
from voicefleet.core.sdp.offer import MAX_OFFER, Offer, OfferError, read_offer

OFFERS = Path(__file__).parents[2] / "vectors" / "offers"
FINGERPRINT = ":".join(["AB"] * 32)
MINIMAL = f"""v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=mid:0
a=ice-ufrag:abcd
a=ice-pwd:0123456789abcdefghijkl
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
"""


def answered(offer: Offer, *relays: RelayAddress) -> str:
    plan = plan_audio(offer.audio) if offer.audio is not None else None
    return write_answer(
        offer, plan, Local("t" * 24, "p" * 32, bytes(32), 7, 1, 99, relays or [RelayAddress("192.0.2.1", 3478)])
    )


@pytest.mark.parametrize("path", sorted(OFFERS.glob("*.sdp")), ids=lambda path: path.stem)
def test_a_real_clients_offer_is_answered_section_by_section(path: Path) -> None:
    offer = read_offer(path.read_text())
    assert offer.audio is not None
    answer = answered(offer)
    sections = [line for line in answer.splitlines() if line.startswith("m=")]
    assert [line.split()[0][2:] for line in sections] == [section.kind for section in offer.sections]
    for line, section in zip(sections, offer.sections, strict=True):
        served = section is offer.audio or section is offer.application
        assert (line.split()[1] != "0") is served
    assert "a=ice-lite" in answer and "a=setup:active" in answer
    assert ("a=msid:" in answer) is (offer.audio.direction != "sendonly")
    assert plan_audio(offer.audio).codec.name == "opus"


def test_the_offers_of_the_field_are_really_there() -> None:
    assert {"chromium", "aiortc", "gstreamer_without_bundle"} <= {path.stem for path in OFFERS.glob("*.sdp")}


def test_relays_stand_in_the_answer_in_order_of_preference() -> None:
    answer = answered(
        read_offer(MINIMAL),
        RelayAddress("192.0.2.1", 3478),
        RelayAddress("2001:db8::1", 3479),
        RelayAddress("192.0.2.1", 3478, tcp=True),
    )
    candidates = [line.split() for line in answer.splitlines() if line.startswith("a=candidate")]
    assert [(c[2], c[4], c[5]) for c in candidates] == [
        ("udp", "192.0.2.1", "3478"),
        ("udp", "2001:db8::1", "3479"),
        ("tcp", "192.0.2.1", "3478"),
    ]
    priorities = [int(c[3]) for c in candidates]
    assert priorities == sorted(priorities, reverse=True) and len(set(priorities)) == 3
    assert candidates[2][-2:] == ["tcptype", "passive"]


def test_red_is_taken_only_around_our_opus() -> None:
    with_red = MINIMAL.replace("SAVPF 111", "SAVPF 63 111") + "a=rtpmap:63 red/48000/2\na=fmtp:63 111/111\n"
    audio = read_offer(with_red).audio
    assert audio is not None and plan_audio(audio).red == 63
    other = read_offer(with_red.replace("111/111", "96/96")).audio
    assert other is not None and plan_audio(other).red is None


def test_g711_is_the_fallback_and_needs_no_rtpmap() -> None:
    audio = read_offer(MINIMAL.replace("SAVPF 111", "SAVPF 18 8 0")).audio
    assert audio is not None and plan_audio(audio).codec.name == "pcmu"


@pytest.mark.parametrize(
    ("theirs", "ours"), [("sendonly", "recvonly"), ("recvonly", "sendonly"), ("inactive", "inactive")]
)
def test_the_direction_is_seen_from_the_other_side(theirs: str, ours: str) -> None:
    answer = answered(read_offer(MINIMAL.replace("a=sendrecv", f"a={theirs}")))
    assert f"a={ours}" in answer.splitlines()
    assert ("a=msid:" in answer) is (ours == "sendonly")


def test_video_is_refused_in_its_place() -> None:
    offer = read_offer(MINIMAL.replace("m=audio", "m=video 9 UDP/TLS/RTP/SAVPF 96\na=mid:v\nm=audio"))
    sections = [line for line in answered(offer).splitlines() if line.startswith("m=")]
    assert sections[0].startswith("m=video 0 ") and sections[1].startswith("m=audio 3478 ")


def without(line: str) -> str:
    assert line in MINIMAL
    return MINIMAL.replace(line, "")


BAD = {
    "nothing": ("", "v=0"),
    "not SDP": ("<html>", "v=0"),
    "no media": ("v=0\ns=-\n", "neither an audio section"),
    "a line without =": (MINIMAL + "garbage\n", "line 16"),
    "no ufrag": (without("a=ice-ufrag:abcd\n"), "a=ice-ufrag is missing"),
    "a short ufrag": (MINIMAL.replace("abcd", "abc"), "4 to 256"),
    "a short password": (MINIMAL.replace("0123456789abcdefghijkl", "0123"), "22 to 256"),
    "no fingerprint": (without(f"a=fingerprint:sha-256 {FINGERPRINT}\n"), "a=fingerprint is missing"),
    "half a fingerprint": (MINIMAL.replace(FINGERPRINT, "AB:CD"), "not a sha-256 digest"),
    "a weak fingerprint": (MINIMAL.replace("sha-256", "sha-1"), "no fingerprint is of"),
    "a strange setup": (MINIMAL.replace("actpass", "holdconn"), "allowed: actpass"),
    "no rtcp-mux": (without("a=rtcp-mux\n"), "rtcp-mux"),
    "no known codec": (MINIMAL.replace("opus/48000/2", "speex/16000"), "no codec in common"),
    "a payload type of 300": (MINIMAL.replace("SAVPF 111", "SAVPF 300"), "no payload type"),
    "a payload type of letters": (MINIMAL.replace("SAVPF 111", "SAVPF x"), "no payload type"),
    "a broken rtpmap": (MINIMAL.replace("opus/48000/2", "opus"), "clock rate"),
    "an rtpmap of nothing": (MINIMAL.replace("111 opus/48000/2", ""), "payload type"),
    "a broken m line": (MINIMAL.replace("m=audio 9 ", "m=audio nine "), "m=<media>"),
    "a broken extmap": (MINIMAL + "a=extmap:x uri\n", "extension's id"),
    "an endless mid": (MINIMAL.replace("a=mid:0", "a=mid:" + "x" * 65), "1 to 64"),
    "a huge offer": ("v=0\n" + "a=x\n" * 40_000, "longer than"),
    "endless lines": ("v=0\n" + "\n" * 3000, "more than 2000 lines"),
    "endless sections": ("v=0\n" + "m=video 9 X 1\n" * 33, "more than 32"),
    "a port of digits without end": (MINIMAL + "m=application 9 UDP/DTLS/SCTP x\na=sctp-port:99999\n", "up to 65535"),
}


@pytest.mark.parametrize("name", BAD)
def test_an_offer_that_cannot_be_served_says_which_line_and_why(name: str) -> None:
    text, why = BAD[name]
    with pytest.raises(OfferError) as caught:
        offer = read_offer(text)
        assert offer.audio is not None
        plan_audio(offer.audio)
    assert why in str(caught.value)
    assert len(text) <= MAX_OFFER or "longer" in why
