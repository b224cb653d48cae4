"""The ICE-lite side of one call (RFC 8445 section 2.5), sans-IO: checks in, answers and the chosen path out.

A path is a way to the client: through which relay (None: directly) and which address of the client. Several live at
once. Checks make and keep them; the client's nomination chooses one; media that was authenticated on another path moves
the choice there, which is how a client that changed its network keeps its call without a round trip. Nobody waits for
a nomination: the first path that was checked carries what is sent.

An ICE restart adds credentials; those before it go on working until the first check under the new ones.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

from voicefleet.wire import stun
from voicefleet.wire.errors import WireError
from voicefleet.wire.stun import BINDING, Class

CONSENT: Final = 30.0
"""Seconds without any check until the client has given up (RFC 7675); Chromium checks every 2.66 s."""
SILENT: Final = 0.5
"""Seconds without media after which the chosen path is left for one with a fresher sign of life."""
MAX_UNKNOWN: Final = 16
"""Attributes that a refusal lists: an answer is never much longer than what it answers."""
MAX_PATHS: Final = 16
"""Paths kept for a call: two relays, UDP and TCP, two families, and a change of network."""


class Path(NamedTuple):
    """A way to the client: the relay's hop address (None: no relay between) and the client's address."""

    relay: tuple[str, int] | None
    client: tuple[str, int]


class CheckResult(Enum):
    """What became of a datagram that looked like STUN; the names are label values of a metric."""

    ANSWERED = "answered"
    MALFORMED = "malformed"
    NOT_A_REQUEST = "not_a_request"
    WRONG_USER = "wrong_user"
    NOT_AUTHENTIC = "not_authentic"
    UNKNOWN_ATTRIBUTE = "unknown_attribute"
    ROLE_CONFLICT = "role_conflict"


class Answer(NamedTuple):
    """The outcome of a check: what to send back on the same path, if anything."""

    result: CheckResult
    datagram: bytes | None = None


@dataclass(slots=True)
class _PathState:
    checked_at: float
    nominated: bool = False
    heard_at: float = 0.0
    """When authenticated media last came this way."""

    def alive_at(self) -> float:
        return max(self.checked_at, self.heard_at)


@dataclass(slots=True)
class IceLite:
    """One call's ICE. `credentials` maps each route token that is valid now to its password."""

    credentials: dict[bytes, bytes]
    started_at: float
    chosen: Path | None = None
    paths: dict[Path, _PathState] = field(default_factory=dict)
    round: int = 0
    """Counts ICE restarts that the client has taken up."""

    def restart(self, token: bytes, password: bytes) -> None:
        """Accept new credentials beside the present ones."""
        self.credentials[token] = password

    def on_datagram(self, data: bytes, path: Path, now: float) -> Answer:
        """Answer a connectivity check."""
        try:
            check = stun.decode(data)
        except WireError:
            return Answer(CheckResult.MALFORMED)
        if check.cls is not Class.REQUEST or check.method != BINDING or check.integrity_at is None:
            return Answer(CheckResult.NOT_A_REQUEST)
        token = (check.username or "").partition(":")[0].encode()
        password = self.credentials.get(token)
        if password is None:
            return Answer(CheckResult.WRONG_USER)
        if not stun.integrity_ok(data, check.integrity_at, password):
            return Answer(CheckResult.NOT_AUTHENTIC)
        if check.unknown_required:
            refusal = stun.binding_error(
                check.transaction_id, 420, "Unknown Attribute", password, check.unknown_required[:MAX_UNKNOWN]
            )
            return Answer(CheckResult.UNKNOWN_ATTRIBUTE, refusal)
        if check.ice_controlled is not None:
            # We are lite and so always controlled; a full agent switches to controlling (RFC 8445 section 7.3.1.1).
            return Answer(
                CheckResult.ROLE_CONFLICT, stun.binding_error(check.transaction_id, 487, "Role Conflict", password)
            )
        self._take_up(token)
        self._note(path, check.use_candidate, now)
        return Answer(CheckResult.ANSWERED, stun.binding_success(check.transaction_id, path.client, password))

    def on_media(self, path: Path, now: float) -> None:
        """Authenticated media came this way: it is alive, and where it differs from the choice it is the choice now."""
        state = self.paths.get(path)
        if state is None:
            state = self._add(path, now)
        state.heard_at = now
        if path != self.chosen:
            current = self.paths.get(self.chosen) if self.chosen is not None else None
            if current is None or now - current.heard_at > SILENT:
                self.chosen = path

    def expired(self, now: float) -> bool:
        """Whether the client has withdrawn its consent by silence."""
        latest = max((state.checked_at for state in self.paths.values()), default=self.started_at)
        return now - latest > CONSENT

    def _note(self, path: Path, nominated: bool, now: float) -> None:
        state = self.paths.get(path)
        if state is None:
            state = self._add(path, now)
        state.checked_at = now
        fresh_nomination = nominated and not state.nominated
        state.nominated = state.nominated or nominated
        current = self.paths.get(self.chosen) if self.chosen is not None else None
        if current is None or fresh_nomination or (nominated and now - current.alive_at() > SILENT):
            self.chosen = path

    def _add(self, path: Path, now: float) -> _PathState:
        if len(self.paths) >= MAX_PATHS:
            oldest = min((p for p in self.paths if p != self.chosen), key=lambda p: self.paths[p].alive_at())
            del self.paths[oldest]
        state = self.paths[path] = _PathState(now)
        return state

    def _take_up(self, token: bytes) -> None:
        """The first check under the newest credentials ends those before them."""
        if len(self.credentials) > 1 and token == next(reversed(self.credentials)):
            self.credentials = {token: self.credentials[token]}
            self.round += 1
            for state in self.paths.values():
                state.nominated = False
