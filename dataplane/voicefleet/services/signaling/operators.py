"""Who operates the fleet: holders of the fleet's own key, or of an API key that is named for it."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from voicefleet.contract import OPERATOR_KEY
from voicefleet.services.signaling.front_desk import FrontDesk
from voicefleet.services.signaling.problems import Problem
from voicefleet.wire.keyring import KeyRing


@dataclass(frozen=True, slots=True)
class Operators:
    """Tells operators from everybody else."""

    desk: FrontDesk
    ring: Callable[[], KeyRing]
    key_names: frozenset[str] = frozenset()
    """Names of API keys whose holders count."""

    def check(self, request: web.Request) -> None:
        """Raises a 401 or 403 for anybody else."""
        authorization = request.headers.get(OPERATOR_KEY, request.headers.get("Authorization", ""))
        scheme, _, presented = authorization.partition(" ")
        if scheme.lower() == "bearer" and any(
            hmac.compare_digest(presented.strip().encode(), key.api_bearer.encode()) for key in self.ring().keys
        ):
            return
        caller = self.desk.application(request)
        if caller.key_name not in self.key_names:
            raise Problem(403, "operators_only", "This is for operators: use the fleet's own key, or a key of theirs.")
