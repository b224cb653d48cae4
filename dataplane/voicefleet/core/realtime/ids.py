"""Names of things in a session, as the real service spells them: a kind, an underscore, and what nobody guesses."""

from collections.abc import Callable
from typing import Final, NamedTuple

OCTETS: Final = 10


class Ids(NamedTuple):
    """Makes names; `token` gives so many random octets as hexadecimal digits."""

    token: Callable[[int], str]

    def session(self) -> str:
        """Of a session."""
        return f"sess_{self.token(OCTETS)}"

    def conversation(self) -> str:
        """Of its conversation."""
        return f"conv_{self.token(OCTETS)}"

    def item(self) -> str:
        """Of something said."""
        return f"item_{self.token(OCTETS)}"

    def response(self) -> str:
        """Of an answer of the model."""
        return f"resp_{self.token(OCTETS)}"

    def event(self) -> str:
        """Of an event of the server."""
        return f"event_{self.token(OCTETS)}"
