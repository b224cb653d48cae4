"""Who is calling: an application with its API key, a browser with an ephemeral secret, or, in open mode, anybody."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from voicefleet.services.signaling.api_keys import ApiKeys
from voicefleet.services.signaling.problems import Problem, unauthorized
from voicefleet.wire.client_secret import PREFIX, open_secret
from voicefleet.wire.errors import WireError
from voicefleet.wire.keyring import KeyRing


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller who may call. `session` is what the application's server fixed; the browser cannot change that."""

    key_name: str
    ephemeral: bool = False
    session: Mapping[str, Any] = field(default_factory=dict)


OPEN_MODE = Caller("open mode")


@dataclass(slots=True)
class Admission:
    """Decides who may call, from keys and ring as they are now (both are re-read when their files change)."""

    keys: Callable[[], ApiKeys | None]
    """None is open mode: local use only."""
    ring: Callable[[], KeyRing]

    def caller(self, authorization: str | None, origin: str | None, now: float) -> Caller:
        """The caller behind an Authorization header; raises a 401 that says what is wrong with it."""
        keys = self.keys()
        scheme, _, presented = (authorization or "").partition(" ")
        presented = presented.strip()
        if scheme.lower() == "bearer" and presented.startswith(PREFIX):
            return self._ephemeral(presented, origin, now)
        if keys is None:
            return OPEN_MODE
        if scheme.lower() != "bearer" or not presented:
            raise unauthorized(
                "Send an API key or an ephemeral secret as 'Authorization: Bearer ...'.", "missing_api_key"
            )
        name = keys.owner(presented)
        if name is None:
            raise unauthorized("This API key is not known here.")
        return Caller(name)

    def application(self, authorization: str | None, origin: str | None, now: float) -> Caller:
        """As `caller`, for what only the application itself may do: an ephemeral secret is not enough."""
        caller = self.caller(authorization, origin, now)
        if caller.ephemeral:
            raise Problem(403, "api_key_required", "An ephemeral secret can start calls only; this takes the API key.")
        return caller

    def _ephemeral(self, presented: str, origin: str | None, now: float) -> Caller:
        try:
            secret = open_secret(presented, self.ring())
        except WireError as error:
            raise unauthorized(f"This ephemeral secret is not valid here ({error.reason}).") from None
        if secret.expires_at <= now:
            raise unauthorized("This ephemeral secret has expired; ask for a new one.", "expired_client_secret")
        if secret.origin is not None and secret.origin != origin:
            raise Problem(403, "wrong_origin", f"This ephemeral secret is bound to the origin {secret.origin}.")
        return Caller(secret.issuer, ephemeral=True, session=secret.session)
