"""The protection profiles of SRTP that are offered in DTLS (RFC 7714, RFC 5764), best first.

AES-GCM is a sixth cheaper than AES-CM with HMAC-SHA1.
"""

from enum import Enum
from typing import Final

from pylibsrtp import Policy


class SrtpProfile(Enum):
    """A protection profile: name in DTLS (OpenSSL's spelling), key and salt length, libsrtp's number."""

    AEAD_AES_128_GCM = ("SRTP_AEAD_AES_128_GCM", 16, 12, Policy.SRTP_PROFILE_AEAD_AES_128_GCM)
    AEAD_AES_256_GCM = ("SRTP_AEAD_AES_256_GCM", 32, 12, Policy.SRTP_PROFILE_AEAD_AES_256_GCM)
    AES128_CM_SHA1_80 = ("SRTP_AES128_CM_SHA1_80", 16, 14, Policy.SRTP_PROFILE_AES128_CM_SHA1_80)

    def __init__(self, openssl_name: str, key_length: int, salt_length: int, libsrtp: int) -> None:
        self.openssl_name = openssl_name
        self.key_length = key_length
        self.salt_length = salt_length
        self.libsrtp = libsrtp

    @property
    def exported_length(self) -> int:
        """How many octets to take from the DTLS exporter (RFC 5764, 4.2)."""
        return 2 * (self.key_length + self.salt_length)


OFFERED: Final = (SrtpProfile.AEAD_AES_128_GCM, SrtpProfile.AEAD_AES_256_GCM, SrtpProfile.AES128_CM_SHA1_80)
