"""What signaling refuses, as one error family: each knows its HTTP status and the OpenAI-shaped body that says why."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from math import ceil
from types import MappingProxyType
from typing import Final

from aiohttp import web

NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_TYPES: Final = {400: "invalid_request_error", 401: "invalid_request_error", 403: "invalid_request_error",
                 404: "invalid_request_error", 429: "rate_limit_error"}  # fmt: skip


class Problem(Exception):
    """A request that is answered with an error: `code` is for programs, `message` for a person, `param` the culprit."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        param: str | None = None,
        retry_after: int = 0,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.param = param
        self.retry_after = retry_after
        self.headers = headers

    def response(self) -> web.Response:
        """The error in the shape that OpenAI's clients read."""
        body = {
            "error": {
                "message": self.message,
                "type": _TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error"),
                "param": self.param,
                "code": self.code,
            }
        }
        return self._response(body, "application/json")

    def details(self) -> web.Response:
        """The error as problem details (RFC 9457), which WHIP asks for."""
        title = HTTPStatus(self.status).phrase
        body = {"type": f"urn:voicefleet:problem:{self.code}", "title": title, "status": self.status}
        return self._response({**body, "detail": self.message}, "application/problem+json")

    def _response(self, body: Mapping[str, object], content_type: str) -> web.Response:
        headers = dict(self.headers)
        if self.retry_after:
            headers["Retry-After"] = str(self.retry_after)
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return web.Response(status=self.status, text=json.dumps(body), content_type=content_type, headers=headers)


def unauthorized(message: str, code: str = "invalid_api_key") -> Problem:
    """401: who is calling is not known."""
    return Problem(401, code, message)


def bad_request(message: str, *, code: str = "invalid_request", param: str | None = None) -> Problem:
    """400: the request cannot be served as it is written."""
    return Problem(400, code, message, param=param)


def no_capacity(message: str) -> Problem:
    """503: the fleet cannot take the call now; trying again soon is sensible."""
    return Problem(503, "no_capacity", message, retry_after=2)


def too_many(message: str, retry_after: float) -> Problem:
    """429: a limit is reached; when to come back stands in Retry-After."""
    return Problem(429, "rate_limit_exceeded", message, retry_after=max(1, ceil(retry_after)))
