"""The public id of a call: `rtc_` and the call's first route token in URL-safe letters.

So whoever has the fleet's keys finds the transceiver of a call from its id alone: hanging up, or watching a call, needs
no table that could be lost.
"""

from typing import Final

from voicefleet.wire.errors import Reason, WireError
from voicefleet.wire.route_token import LENGTH_V1, LENGTH_V2

PREFIX: Final = "rtc_"
_TO_URL: Final = str.maketrans("+/", "-_")
_FROM_URL: Final = str.maketrans("-_", "+/")


def call_id(token: str) -> str:
    """The id of the call that began with this token."""
    return PREFIX + token.translate(_TO_URL)


def token_of(call: str) -> bytes:
    """The token in a call's id; raises `WireError` if it has not the form of one."""
    token = call[len(PREFIX) :]
    if not call.startswith(PREFIX) or not call.isascii():
        raise WireError(Reason.BAD_MAGIC, "not the id of a call")
    if len(token) not in (LENGTH_V1, LENGTH_V2):
        raise WireError(Reason.BAD_LENGTH, "not the length of a call's id")
    return token.translate(_FROM_URL).encode()
