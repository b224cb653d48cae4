"""Certificates for DTLS that nobody signs: what clients check is their fingerprint, and that their time has come."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from voicefleet.wire.certificate import SKEW, self_signed

NOW = 1_800_000_000.0


def test_a_certificate_holds_for_its_lifetime_and_for_clocks_that_are_behind() -> None:
    certificate, private = self_signed(NOW, timedelta(days=90))
    loaded, moment = x509.load_pem_x509_certificate(certificate), datetime.fromtimestamp(NOW, UTC)
    assert loaded.not_valid_before_utc == moment - SKEW
    assert loaded.not_valid_after_utc == moment + timedelta(days=90)
    loaded.verify_directly_issued_by(loaded)
    assert load_pem_private_key(private, None).public_key() == loaded.public_key()


def test_no_two_certificates_share_anything() -> None:
    one, other = (x509.load_pem_x509_certificate(self_signed(NOW, timedelta(days=1))[0]) for _ in range(2))
    assert one.subject != other.subject and one.serial_number != other.serial_number
    assert one.public_key() != other.public_key()
