"""The one error that a decoder may raise, with a reason from a closed list so that a metric can count it."""

from enum import StrEnum


class Reason(StrEnum):
    """Why bytes were refused; the label value of `*_refused_total{reason=...}` metrics."""

    TRUNCATED = "truncated"
    """Fewer octets than the format's fixed part, or than a length field promises."""
    TOO_LONG = "too_long"
    """More octets than the format allows, or octets after its end."""
    BAD_LENGTH = "bad_length"
    """A length field that contradicts itself or its surroundings (overlap, misalignment, zero where one is needed)."""
    BAD_MAGIC = "bad_magic"
    """Not this protocol: magic, cookie or first-octet bits are wrong."""
    BAD_VERSION = "bad_version"
    """This protocol, in a version that is not spoken here."""
    BAD_VALUE = "bad_value"
    """A field holds a value that the format forbids."""
    DUPLICATE = "duplicate"
    """A field that may stand once stands twice with effect on the meaning."""
    UNKNOWN_KEY = "unknown_key"
    """Sealed under a key id that the ring does not hold (any more)."""
    FOREIGN_FLEET = "foreign_fleet"
    """Sealed for another fleet."""
    NOT_AUTHENTIC = "not_authentic"
    """The seal, tag, integrity attribute or fingerprint does not fit the content."""


class WireError(ValueError):
    """Bytes that are not what they should be. `reason` is for counting, `detail` for a person."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = detail
