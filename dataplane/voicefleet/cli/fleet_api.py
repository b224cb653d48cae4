"""A fleet's signaling as operators use it: by the fleet's own key, wherever the fleet is."""

import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import aiohttp

from voicefleet.cli.failure import Exit, Failure
from voicefleet.cli.local import ready_file
from voicefleet.net.key_file import KeyFile
from voicefleet.net.watched_file import FirstLoadError
from voicefleet.wire.keyring import KeyRing

SECONDS: Final = 10.0
"""For one answer."""


@dataclass(slots=True)
class FleetApi:
    """Requests to one fleet's signaling. Raises `Failure` for whatever is not a good answer."""

    url: str
    key_file: Path
    certificate: str = ""
    """What to trust beside the system's, for https."""
    _http: aiohttp.ClientSession | None = field(default=None, init=False)

    async def __aenter__(self) -> "FleetApi":
        tls = ssl.create_default_context(cafile=self.certificate) if self.certificate else True
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls), timeout=aiohttp.ClientTimeout(total=SECONDS)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.close()

    async def ring(self) -> KeyRing:
        """The fleet's keys."""
        return ring_of(self.key_file)

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer to a request."""
        assert self._http is not None, "entered"
        headers = {"Authorization": f"Bearer {ring_of(self.key_file).minting(time.time()).api_bearer}"}
        try:
            async with self._http.request(method, self.url + path, json=body, headers=headers) as answer:
                told = await answer.json(content_type=None) or {}
                status = answer.status
                if not isinstance(told, dict):
                    raise ValueError("it is no signaling that answers there")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise Failure(
                f"signaling at {self.url} does not answer ({reason})", "see voicefleet doctor", Exit.UNREACHABLE
            ) from None
        if status >= 400:
            raise _refused(status, self.url, str(told.get("error", {}).get("message", "")))
        return told


def _refused(status: int, url: str, message: str) -> Failure:
    said = message.rstrip(".") or f"status {status}"
    match status:
        case 401 | 403:
            return Failure(f"{url} refuses the key: {said}", "give the fleet's own key ring", Exit.FORBIDDEN)
        case 404:
            return Failure(said, exit=Exit.NOT_FOUND)
        case 400 | 422:
            return Failure(said, exit=Exit.USAGE)
    return Failure(f"{url} answers {status}: {said}", "see voicefleet doctor")


def of_ready_file(ready: ready_file.ReadyFile) -> FleetApi:
    """A fleet on this machine."""
    return FleetApi(ready.base_url.removesuffix("/v1"), ready.key_file, ready.certificate)


def ring_of(key_file: Path) -> KeyRing:
    """The fleet's key ring, which opens the doors for operators."""
    try:
        return KeyFile(key_file).value
    except FirstLoadError as error:
        raise Failure(str(error), "give the fleet's key ring with --key-file", Exit.INVALID) from None
