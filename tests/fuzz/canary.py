"""A planted fault: a fuzzer that does not find it here would find nothing else either."""

from typing import Final

NAME: Final = "canary"
FAULT: Final = "the planted fault"


def planted(data: bytes) -> None:
    """Fails on four octets that nobody meets by chance, and that coverage leads to one by one."""
    for at, octet in enumerate(b"call"):
        if data[at : at + 1] != bytes((octet,)):
            return
    raise IndexError(FAULT)
