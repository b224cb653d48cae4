"""One call's DTLS by pyOpenSSL over memory: datagrams in, datagrams out.

It checks the peer's certificate against the fingerprints of its offer before anything is believed, and hands out the
SRTP keys by the exporter (RFC 5764). It never touches a socket; the caller sends what `outgoing` returns and calls
`on_timeout` when `deadline` has passed. pyOpenSSL speaks DTLS 1.2. One thread at a time may use an association.

OpenSSL repeats a lost flight after a second, which is long for somebody who waits to be heard. So the very datagrams of
an unanswered flight are sent again before: a peer that had them drops the copies as replays.
"""

import hashlib
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from OpenSSL import SSL

from voicefleet.contract import MEDIA_MTU
from voicefleet.net.srtp import Srtp
from voicefleet.net.srtp_profile import OFFERED

_EXPORT_LABEL: Final = b"EXTRACTOR-dtls_srtp"
_CIPHERS: Final = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:"
    b"ECDHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    b"ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA"
)
"""Forward-secret ones only; the RSA suites are for peers with RSA certificates (GStreamer)."""
_OUR_LAST_WORD: Final = b"SSLv3/TLS write finished"
"""OpenSSL's name for a client that has sent its last flight and waits for the server's; a test pins it."""
MAX_HANDSHAKE: Final = 30.0
"""Seconds after which a handshake that has not ended is given up."""
REPEATS: Final = (0.15, 0.4)
"""Seconds after a flight at which its datagrams are sent again; then OpenSSL's timer takes over."""


class DtlsState(Enum):
    """Where the association stands."""

    HANDSHAKE = "handshake"
    CONNECTED = "connected"
    CLOSED = "closed"
    FAILED = "failed"


class DtlsIdentity:
    """Our certificate and key, and the OpenSSL context made of them; shared by all calls of a worker."""

    def __init__(self, certificate: bytes, key: bytes) -> None:
        loaded = x509.load_pem_x509_certificate(certificate)
        private = load_pem_private_key(key, None)
        if not isinstance(private, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise ValueError("the certificate's key has to be an elliptic curve or RSA key")
        self.fingerprint: Final = hashlib.sha256(loaded.public_bytes(Encoding.DER)).digest()
        """SHA-256 of the certificate, as the answer states it."""
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
        context.use_certificate(loaded)
        context.use_privatekey(private)
        context.set_cipher_list(_CIPHERS)
        context.set_options(SSL.OP_NO_TICKET)
        context.set_tlsext_use_srtp(":".join(profile.openssl_name for profile in OFFERED).encode())
        self.context: Final = context

    @classmethod
    def load(cls, directory: Path) -> "DtlsIdentity":
        """From `tls.crt` and `tls.key`, as a Secret of type kubernetes.io/tls mounts them."""
        return cls((directory / "tls.crt").read_bytes(), (directory / "tls.key").read_bytes())


class Dtls:
    """One association. Every method that may have produced datagrams is followed by a look at `outgoing`."""

    def __init__(
        self, identity: DtlsIdentity, fingerprints: Sequence[tuple[str, bytes]], *, client: bool = True
    ) -> None:
        self.state = DtlsState.HANDSHAKE
        self.failure = ""
        """Why the association failed, for the log."""
        self.srtp: Srtp | None = None
        """Both directions of media, as soon as there are keys: for the client a round trip before the end."""
        self.round_trip: float | None = None
        """Seconds between our first flight and the first answer to it, unless it had to be repeated."""
        self.client: Final = client
        self._fingerprints = tuple(fingerprints)
        self._started = 0.0
        self._flight: list[bytes] = []
        self._flight_at = 0.0
        self._repeated = 0
        self._connection = SSL.Connection(identity.context)
        if client:
            self._connection.set_connect_state()
        else:
            self._connection.set_accept_state()
        self._connection.set_ciphertext_mtu(MEDIA_MTU)

    def start(self, now: float) -> list[bytes]:
        """The ClientHello; nothing for the server's side, which waits for one."""
        self._started = now
        self._advance()
        return self.outgoing(now)

    def on_datagram(self, data: bytes, now: float) -> list[bytes]:
        """Take a DTLS datagram; the application data that it carried."""
        if self.state in (DtlsState.CLOSED, DtlsState.FAILED):
            return []
        if self.state is DtlsState.HANDSHAKE:
            if self.round_trip is None and self._flight and not self._repeated:
                self.round_trip = now - self._flight_at
            self._flight = []
        self._connection.bio_write(data)
        if self.state is DtlsState.HANDSHAKE:
            self._advance()
        return self._read() if self.state is DtlsState.CONNECTED else []

    def send(self, data: bytes) -> None:
        """Protect application data (SCTP)."""
        if self.state is DtlsState.CONNECTED:
            self._connection.send(data)

    def outgoing(self, now: float) -> list[bytes]:
        """Datagrams to send now, each of one record or flight part as OpenSSL made it."""
        datagrams: list[bytes] = []
        while True:
            try:
                datagrams.append(self._connection.bio_read(MEDIA_MTU + 256))
            except SSL.WantReadError:
                break
        if datagrams and self.state is DtlsState.HANDSHAKE:
            self._flight, self._flight_at, self._repeated = datagrams, now, 0
        return datagrams

    def deadline(self, now: float) -> float | None:
        """When `on_timeout` is due; None when nothing waits."""
        if self.state is not DtlsState.HANDSHAKE:
            return None
        if self._flight and self._repeated < len(REPEATS):
            return self._flight_at + REPEATS[self._repeated]
        left = self._connection.DTLSv1_get_timeout()
        return self._started + MAX_HANDSHAKE if left is None else now + left

    def on_timeout(self, now: float) -> list[bytes]:
        """Datagrams to send again because they were not answered; or give up."""
        if self.state is not DtlsState.HANDSHAKE:
            return []
        if now - self._started >= MAX_HANDSHAKE:
            self._fail("the handshake did not end in time")
            return []
        if self._flight and self._repeated < len(REPEATS):
            if now < self._flight_at + REPEATS[self._repeated]:
                return []
            self._repeated += 1
            return self._flight
        try:
            self._connection.DTLSv1_handle_timeout()
        except SSL.Error as error:
            self._fail(_words(error))
            return []
        repeated = self.outgoing(now)
        self._repeated = len(REPEATS)  # from here on OpenSSL keeps time, and doubles it
        return repeated

    def close(self) -> None:
        """Say goodbye (close_notify)."""
        if self.state is DtlsState.CONNECTED:
            try:
                self._connection.shutdown()
            except SSL.Error:
                pass  # nothing is left to say
        if self.state is not DtlsState.FAILED:
            self.state = DtlsState.CLOSED

    def _advance(self) -> None:
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            if self.client and self.srtp is None and self._connection.get_state_string() == _OUR_LAST_WORD:
                self._take_keys()
            return
        except SSL.Error as error:
            self._fail(_words(error))
            return
        if self.srtp is None:
            self._take_keys()
        if self.srtp is not None:
            self.state = DtlsState.CONNECTED

    def _take_keys(self) -> None:
        """As soon as there are any: for the client, when its last flight has been written.

        The peer has signed its key exchange then, with the certificate of its offer, so nobody else can have the keys:
        what RFC 7918 asks of who speaks before the other side's Finished. It saves media a round trip.
        """
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        if certificate is None or not self._believes(certificate.public_bytes(Encoding.DER)):
            self._fail("the certificate is not the one of the offer")
            return
        selected = self._connection.get_selected_srtp_profile().decode()
        profile = next((p for p in OFFERED if p.openssl_name == selected), None)
        if profile is None:
            self._fail("no SRTP profile in common")
            return
        exported = self._connection.export_keying_material(_EXPORT_LABEL, profile.exported_length)
        self.srtp = Srtp(profile, exported, client=self.client)

    def _believes(self, der: bytes) -> bool:
        return any(
            hashlib.new(algorithm.replace("-", ""), der).digest() == digest for algorithm, digest in self._fingerprints
        )

    def _read(self) -> list[bytes]:
        received = []
        while True:
            try:
                received.append(self._connection.recv(MEDIA_MTU + 256))
            except SSL.WantReadError:
                return received
            except SSL.ZeroReturnError:
                self.state = DtlsState.CLOSED
                return received
            except SSL.Error as error:
                self._fail(_words(error))
                return received

    def _fail(self, why: str) -> None:
        self.state = DtlsState.FAILED
        self.failure = why


def _words(error: SSL.Error) -> str:
    entries = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "; ".join(str(entry[-1]) for entry in entries) or type(error).__name__
