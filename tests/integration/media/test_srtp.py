"""The media core over real SRTP: keys as DTLS exports them, every profile, and libsrtp's refusals by reason."""

import os
from random import Random

import pytest

from tests.support.simulated_call import TERMS, WALL, spoken
from voicefleet.core.media.frame import FrameKind
from voicefleet.core.media.patience import ACCURATE
from voicefleet.core.media.protection import ProtectionError, SealBroken
from voicefleet.core.media.stream import AudioStream
from voicefleet.net.srtp import Srtp
from voicefleet.net.srtp_profile import OFFERED, SrtpProfile
from voicefleet.wire import rtcp, rtp

PACKET = rtp.encode(rtp.RtpHeader(111, False, 7, 960, 0x1111), b"\x48 hello")


def pair(profile: SrtpProfile) -> tuple[Srtp, Srtp]:
    exported = os.urandom(profile.exported_length)
    return Srtp(profile, exported, client=True), Srtp(profile, exported, client=False)


def refusal(srtp: Srtp, sealed: bytes) -> SealBroken:
    with pytest.raises(ProtectionError) as raised:
        srtp.open_rtp(sealed)
    return raised.value.reason


@pytest.mark.parametrize("profile", SrtpProfile)
def test_each_side_opens_what_the_other_sealed(profile: SrtpProfile) -> None:
    client, server = pair(profile)
    assert server.open_rtp(client.seal_rtp(PACKET)) == PACKET
    assert client.open_rtp(server.seal_rtp(PACKET)) == PACKET
    compound = rtcp.encode([rtcp.ReceiverReport(1)])
    assert server.open_rtcp(client.seal_rtcp(compound)) == compound
    assert b"hello" not in client.seal_rtp(rtp.encode(rtp.RtpHeader(111, False, 8, 0, 0x1111), b"\x48 hello"))


@pytest.mark.parametrize("profile", SrtpProfile)
def test_forgeries_and_replays_are_told_apart(profile: SrtpProfile) -> None:
    client, server = pair(profile)
    sealed = client.seal_rtp(PACKET)
    forged = sealed[:-1] + bytes((sealed[-1] ^ 1,))
    assert refusal(server, forged) is SealBroken.NOT_AUTHENTIC
    server.open_rtp(sealed)
    assert refusal(server, sealed) is SealBroken.REPLAYED


def test_what_is_older_than_the_replay_window_is_a_replay() -> None:
    client, server = pair(SrtpProfile.AEAD_AES_128_GCM)
    sealed = [client.seal_rtp(rtp.encode(rtp.RtpHeader(111, False, n, 0, 1), b"\x48")) for n in range(2000)]
    server.open_rtp(sealed[-1])
    assert refusal(server, sealed[0]) is SealBroken.REPLAYED
    assert server.open_rtp(sealed[-400])  # eight seconds late: a retransmission still counts


@pytest.mark.parametrize("sealed", [b"", b"\x80", bytes(11), bytes(12), bytes(1600), b"\x9f\xff" + bytes(20)])
def test_what_can_not_be_srtp_is_refused(sealed: bytes) -> None:
    _, server = pair(SrtpProfile.AES128_CM_SHA1_80)
    assert refusal(server, sealed) in {SealBroken.MALFORMED, SealBroken.NOT_AUTHENTIC}
    with pytest.raises(ProtectionError):
        server.open_rtcp(sealed)


def test_keys_of_the_wrong_size_are_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="56 octets"):
        Srtp(SrtpProfile.AEAD_AES_128_GCM, bytes(60), client=True)


def test_gcm_is_offered_first() -> None:
    assert [profile.openssl_name for profile in OFFERED] == [
        "SRTP_AEAD_AES_128_GCM",
        "SRTP_AEAD_AES_256_GCM",
        "SRTP_AES128_CM_SHA1_80",
    ]


def test_a_call_with_losses_is_whole_over_real_srtp() -> None:
    """Retransmissions are the same datagrams: libsrtp takes them, once."""
    client, server = pair(SrtpProfile.AEAD_AES_128_GCM)
    options = {"now": 10.0, "wall_offset": WALL, "cname": "x", "profile": ACCURATE}
    caller = AudioStream(TERMS, client, ssrc=1, random=Random(1), **options)  # type: ignore[arg-type]
    callee = AudioStream(TERMS, server, ssrc=2, random=Random(2), **options)  # type: ignore[arg-type]
    now, luck, heard, lost = 10.0, Random(3), [], 0
    for step in range(5000):
        now += 0.002
        if step % 10 == 0 and step < 4500:
            caller.say(spoken(step // 10), now)
        for source, target in ((caller, callee), (callee, caller)):
            for datagram in source.poll(now):
                rtcp_packet = 192 <= datagram[1] <= 223
                if not rtcp_packet and luck.random() < 0.1:
                    lost += 1
                elif rtcp_packet:
                    assert target.on_srtcp(datagram, now)
                else:
                    assert target.on_srtp(datagram, now)
        heard += [frame for frame in callee.take_audio() if frame.kind is FrameKind.HEARD and len(frame.payload) > 5]
    assert lost > 30
    assert [int.from_bytes(frame.payload[1:5]) for frame in heard] == list(range(450))
    assert callee.measurements().refused == {}
