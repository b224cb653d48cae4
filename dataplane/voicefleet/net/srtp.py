"""SRTP by libsrtp (pylibsrtp): the keys that DTLS exported, as the media core's `Protection`.

About 2 us a packet each way.
"""

from typing import Final

from pylibsrtp import ERRORS, SRTP_MAX_TRAILER_LEN, Error, Policy, Session
from pylibsrtp._binding import ffi, lib  # type: ignore[import-not-found]

from voicefleet.core.media.protection import ProtectionError, SealBroken
from voicefleet.net.srtp_profile import SrtpProfile

_protect, _unprotect = lib.srtp_protect, lib.srtp_unprotect
_LARGEST: Final = 1500
"""Octets of the buffer that a `Session` has; `tests/unit/net/test_srtp_inside.py` pins what is used of its inside."""
_LARGEST_PLAIN: Final = _LARGEST - SRTP_MAX_TRAILER_LEN
_REPLAY_WINDOW: Final = 512
"""Packets: ten seconds, so that a retransmission asked for by `accurate` is never taken for a replay."""


class Srtp:
    """Both directions of one call, sealed with the keys of one DTLS handshake. One thread at a time may use it.

    Media goes to libsrtp past pylibsrtp's methods, which make a C integer for every packet: 1.8 us against 3.1 us.
    """

    __slots__ = ("_in_data", "_in_octets", "_inbound", "_length", "_out_data", "_out_octets", "_outbound")

    def __init__(self, profile: SrtpProfile, exported: bytes, *, client: bool) -> None:
        """`exported`: client key, server key, client salt, server salt; `client`: whether we are the DTLS client."""
        if len(exported) != profile.exported_length:
            raise ValueError(f"{profile.name} needs {profile.exported_length} octets of keys, not {len(exported)}")
        key, salt = profile.key_length, profile.salt_length
        client_key = exported[:key] + exported[2 * key : 2 * key + salt]
        server_key = exported[key : 2 * key] + exported[2 * key + salt :]
        ours, theirs = (client_key, server_key) if client else (server_key, client_key)
        self._outbound = _session(profile, ours, Policy.SSRC_ANY_OUTBOUND)
        self._inbound = _session(profile, theirs, Policy.SSRC_ANY_INBOUND)
        self._out_data, self._out_octets = self._outbound._cdata, self._outbound._buffer
        self._in_data, self._in_octets = self._inbound._cdata, self._inbound._buffer
        self._length = ffi.new("int *")

    def seal_rtp(self, packet: bytes) -> bytes:
        """SRTP of an RTP packet; what we send ourselves always fits."""
        size = len(packet)
        if size > _LARGEST_PLAIN:
            raise ValueError(f"{size} octets do not fit an SRTP packet")
        length, octets = self._length, self._out_octets
        length[0] = size
        octets[0:size] = packet
        error = _protect(self._outbound._srtp[0], self._out_data, length)
        if error:
            raise Error(ERRORS[error])
        sealed: bytes = octets[: length[0]]
        return sealed

    def seal_rtcp(self, compound: bytes) -> bytes:
        """SRTCP of an RTCP compound."""
        return self._outbound.protect_rtcp(compound)

    def open_rtp(self, packet: bytes) -> bytes:
        """The RTP packet in an authentic, new SRTP packet."""
        size = len(packet)
        if size > _LARGEST:
            raise ProtectionError(SealBroken.MALFORMED)
        length, octets = self._length, self._in_octets
        length[0] = size
        octets[0:size] = packet
        error = _unprotect(self._inbound._srtp[0], self._in_data, length)
        if error:
            raise ProtectionError(_REASONS.get(ERRORS[error], SealBroken.MALFORMED))
        opened: bytes = octets[: length[0]]
        return opened

    def open_rtcp(self, compound: bytes) -> bytes:
        """The RTCP compound in an authentic, new SRTCP packet."""
        try:
            return self._inbound.unprotect_rtcp(compound)
        except (Error, ValueError) as error:
            raise ProtectionError(_REASONS.get(str(error), SealBroken.MALFORMED)) from error


def _session(profile: SrtpProfile, key: bytes, direction: int) -> Session:
    policy = Policy(key=key, ssrc_type=direction, srtp_profile=profile.libsrtp)
    policy.window_size = _REPLAY_WINDOW
    return Session(policy)


# libsrtp's errors reach Python as texts; a test pins them.
_REASONS: Final = {
    "authentication failure": SealBroken.NOT_AUTHENTIC,
    "replay check failed (bad index)": SealBroken.REPLAYED,
    "replay check failed (index too old)": SealBroken.REPLAYED,
    "packet index is too old to consider": SealBroken.REPLAYED,
}
