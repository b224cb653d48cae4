"""The model servers of a worker: which is free, how it is reached, and with what key. Shared by all of its calls."""

import asyncio
import random
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ssl import SSLContext, create_default_context
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from voicefleet.agents.realtime.model_socket import ModelSocket, Refused
from voicefleet.core.model.endpoints import Busy, Endpoint, Endpoints, Limits
from voicefleet.observability import logs

CONNECT: Final = 5.0
"""Seconds for one try: name look-up, TLS and the handshake around the world and back."""


class NoModel(Exception):
    """No model server is free, or none answers; the message says why, and what the caller may be told."""


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """What an operator says about the models."""

    urls: Sequence[str]
    model: str = ""
    """For sessions that name none."""
    headers: Mapping[str, str] | None = None
    limits: Limits = field(default_factory=Limits)
    """Of each server, for this worker."""
    telephone: bool = True
    """Whether the models take G.711: a caller who speaks it is passed through then."""
    own_turns: bool = False
    """Whether this side decides about turns, and the model has no turn detection."""
    own_ear: bool = False
    """Whether this side decides that a caller interrupts, and not the model."""


class Models:
    """Belongs to one event loop."""

    def __init__(self, plan: ModelPlan, key: Callable[[], str | None] = lambda: None) -> None:
        self.plan = plan
        self.refused = 0
        """Sessions for which no server was free in time."""
        self._key = key
        self._random = random.Random()
        # One for all: to read the system's certificates takes longer than a call may wait for another.
        self._tls = tls_context() if any(url.startswith("wss:") for url in plan.urls) else None
        self.endpoints = Endpoints([Endpoint(url, plan.limits) for url in plan.urls], self._random)

    async def connect(self, config: Mapping[str, Any], until: float) -> ModelSocket:
        """A connection for a session with that configuration; raises `NoModel` by then (of the loop's clock)."""
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            place = self.endpoints.take(now)
            if isinstance(place, Busy):
                if now + place.wait > until:
                    self.refused += 1
                    raise NoModel(place.why)
                await asyncio.sleep(place.wait * self._random.uniform(1.0, 1.2))
                continue
            socket = await self._try(place, config, loop)
            if socket is not None:
                return socket

    def answered(self, socket: ModelSocket) -> None:
        """There is a session on this connection."""
        endpoint = self._endpoint(socket)
        endpoint.counted["connected"] += 1
        endpoint.seconds += asyncio.get_running_loop().time() - socket.since
        self.endpoints.answered(endpoint)

    def lost(self, socket: ModelSocket) -> None:
        """The connection broke."""
        endpoint = self._endpoint(socket)
        endpoint.counted["lost"] += 1
        why = f"the model server ended the connection ({socket.end})"
        self.endpoints.failed(endpoint, why, asyncio.get_running_loop().time())

    def figures(self) -> dict[str, dict[str, float]]:
        """How each server is, for metrics: by its address, without what stands behind a question mark."""
        return {
            _named(endpoint.url): {
                "calls": endpoint.calls,
                "well": float(endpoint.well),
                "seconds": endpoint.seconds,
                **endpoint.counted,
            }
            for endpoint in self.endpoints.all
        }

    def _endpoint(self, socket: ModelSocket) -> Endpoint:
        return next(endpoint for endpoint in self.endpoints.all if endpoint.url == socket.url)

    async def _try(
        self, place: Endpoint, config: Mapping[str, Any], loop: asyncio.AbstractEventLoop
    ) -> ModelSocket | None:
        rest, taken = None, True
        socket = ModelSocket(place.url, loop.time(), lambda: self.endpoints.leave(place))
        try:
            where = address(place.url, config, self.plan.model)
            await socket.open(where, self._headers(place.url), CONNECT, self._tls)
            taken = False
        except Refused as refused:
            why = str(refused)
            asked = refused.retry_after
            rest = float(asked) if asked.isascii() and asked.isdigit() else None
        except TimeoutError:
            why = "the model server does not answer"
        except OSError as error:
            why = f"the model server can't be reached ({type(error).__name__})"
        else:
            return socket
        finally:
            if taken:
                self.endpoints.leave(place)
        place.counted["failed"] += 1
        self.endpoints.failed(place, why, loop.time(), rest)
        logs.logger(__name__).warning("no model connection", url=place.url, why=why, failures=place.failures)
        return None

    def _headers(self, url: str) -> dict[str, str]:
        headers = dict(self.plan.headers or {})
        key, (user, at, _) = self._key(), urlsplit(url).netloc.rpartition("@")
        if key:
            headers["Authorization"] = f"Bearer {key}"
        elif at:
            headers["Authorization"] = f"Basic {b64encode(unquote(user).encode()).decode()}"
        return headers


def tls_context() -> SSLContext:
    """Who speaks for a model server: the certificates that the system trusts."""
    context = create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _named(url: str) -> str:
    parts = urlsplit(url)
    return f"{_host(parts)}{parts.path}"


def _host(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def address(url: str, config: Mapping[str, Any], model: str) -> str:
    """Where a session of this configuration is opened; who may is told in headers."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    if config.get("type") == "transcription":
        query["intent"] = "transcription"
    else:
        asked = config.get("model") or model
        if asked:
            query["model"] = str(asked)
    return urlunsplit(parts._replace(netloc=_host(parts), query=urlencode(query)))
