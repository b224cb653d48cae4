"""The ICE-lite side of one call (RFC 8445 section 2.5), sans-IO: checks in, answers and the chosen path out.

A path is a way to the client: through which relay (None: directly) and which address of the client. Several live at
once, and one is chosen for what is sent. Nobody waits for a nomination: the first path that was checked is chosen.
Then the client's own choice is followed, by the strongest sign of it that there is:

1. its newest media: the path that it came by is chosen at once, so a client that changed its network keeps its call
   without a round trip, and one packet that was overtaken moves nothing;
2. a nomination, where no media tells otherwise;
3. where the chosen path falls silent (its relay died) the path with the latest sign of life.

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
MEDIA_SILENCE: Final = 0.6
"""Seconds without media, where it flowed, after which a path is silent; a pausing sender is heard every 0.4 s (DTX)."""
CHECK_SILENCE: Final = 7.5
"""The same where only checks keep a path alive: clients check every 2.66 s (Chromium) to 6 s (aioice)."""
MAX_UNKNOWN: Final = 16
"""Attributes that a refusal lists: an answer is never much longer than what it answers."""
MAX_PATHS: Final = 16
"""Paths kept for a call: two relays, UDP and TCP, two families, and a change of network."""


class Path(NamedTuple):
    """A way to the client: the relay's hop address (None: no relay between) and the client's end."""

    relay: tuple[str, int] | None
    client: tuple[str, int]
    tcp: bool = False
    """Whether the client came over ICE-TCP; the same address may come over UDP as well."""


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
    checked_at: float = float("-inf")
    nominated: bool = False
    heard_at: float = float("-inf")
    """When authenticated media last came this way."""

    def alive_at(self) -> float:
        return max(self.checked_at, self.heard_at)

    def silent_at(self) -> float:
        """When it counts as silent, if nothing more comes."""
        alive_at = self.alive_at()
        return alive_at + (MEDIA_SILENCE if alive_at - self.heard_at < MEDIA_SILENCE else CHECK_SILENCE)


@dataclass(slots=True)
class IceLite:
    """One call's ICE. `credentials` maps each route token that is valid now to its password."""

    credentials: dict[bytes, bytes]
    started_at: float
    chosen: Path | None = None
    paths: dict[Path, _PathState] = field(default_factory=dict)
    rounds: int = 0
    """ICE restarts that the client has taken up."""
    switches: int = 0
    """How often the chosen path changed after the first choice."""
    forgotten: list[Path] = field(default_factory=list)
    """Paths that made room for newer ones; whoever keeps tables by path takes them from here."""

    def restart(self, token: bytes, password: bytes) -> None:
        """Accept new credentials beside the present ones; those of a restart that was not taken up are forgotten."""
        present = next(iter(self.credentials))
        self.credentials = {present: self.credentials[present], token: password}

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

    def on_media(self, path: Path, newest: bool, now: float) -> None:
        """Authenticated media came this way; `newest`: nothing later than this has been heard yet."""
        state = self.paths.get(path)
        if state is None:
            state = self._add(path)
        state.heard_at = now
        if path is not self.chosen and path != self.chosen:
            if newest:
                self._choose(path)
            else:
                self.reconsider(now)

    def reconsider(self, now: float) -> None:
        """Leave the chosen path if it has fallen silent and another one has been heard of since."""
        current = self.paths.get(self.chosen) if self.chosen is not None else None
        if current is None or now < current.silent_at():
            return
        latest = max(self.paths, key=lambda path: self.paths[path].alive_at())
        if self.paths[latest].alive_at() > current.alive_at():
            self._choose(latest)

    def expired(self, now: float) -> bool:
        """Whether the client has withdrawn its consent by silence."""
        latest = max((state.checked_at for state in self.paths.values()), default=self.started_at)
        return now - latest > CONSENT

    def _note(self, path: Path, nominated: bool, now: float) -> None:
        state = self.paths.get(path)
        if state is None:
            state = self._add(path)
        state.checked_at = now
        first = nominated and not state.nominated
        state.nominated = state.nominated or nominated
        if path == self.chosen:
            return
        current = self.paths.get(self.chosen) if self.chosen is not None else None
        if current is None or first or (nominated and now - current.heard_at > MEDIA_SILENCE):
            self._choose(path)
        else:
            self.reconsider(now)

    def _choose(self, path: Path) -> None:
        self.switches += self.chosen is not None
        self.chosen = path

    def _add(self, path: Path) -> _PathState:
        if len(self.paths) >= MAX_PATHS:
            oldest = min((p for p in self.paths if p != self.chosen), key=lambda p: self.paths[p].alive_at())
            del self.paths[oldest]
            self.forgotten.append(oldest)
        state = self.paths[path] = _PathState()
        return state

    def _take_up(self, token: bytes) -> None:
        """The first check under the newest credentials ends those before them."""
        if len(self.credentials) > 1 and token == next(reversed(self.credentials)):
            self.credentials = {token: self.credentials[token]}
            self.rounds += 1
            for state in self.paths.values():
                state.nominated = False
