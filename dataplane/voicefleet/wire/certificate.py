"""Makes a certificate for DTLS: P-256, self-signed, with nothing in it that tells who made it.

A WebRTC client believes a certificate because its fingerprint stands in the answer, not because somebody signed it.
"""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

SKEW: Final = timedelta(days=1)
"""How far a client's clock may be behind ours."""


def self_signed(now: float, lifetime: timedelta, address: str = "") -> tuple[bytes, bytes]:
    """Certificate and private key as PEM, valid from a day ago; for an https server also its address."""
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{serial:x}"[:16])])
    moment = datetime.fromtimestamp(now, UTC)
    builder = x509.CertificateBuilder()
    if address:
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
        builder = builder.add_extension(names, critical=False)
    certificate = (
        builder.subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(moment - SKEW)
        .not_valid_after(moment + lifetime)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM), private
