"""The OpenAPI document, made from the doors' own routes: what a handler takes and answers stands at the handler.

A route without a description is an error at start-up, so that no path can be served that the document does not know.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final, TypeVar

from aiohttp import web

Schema = Mapping[str, Any]
_Handler = TypeVar("_Handler", bound=Callable[..., Any])
_ATTRIBUTE: Final = "__described__"

TEXT: Final[Schema] = {"type": "string"}
JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
RETRY_AFTER: Final[Schema] = {"type": "integer", "minimum": 1}
ERROR: Final[Schema] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string", "minLength": 1},
                "type": {"enum": ["invalid_request_error", "rate_limit_error", "server_error"]},
                "param": {"type": ["string", "null"]},
                "code": {"type": "string"},
            },
        }
    },
}
"""As OpenAI's clients read errors."""
DETAILS: Final[Schema] = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "pattern": "^urn:voicefleet:problem:"},
        "title": TEXT,
        "status": {"type": "integer"},
        "detail": TEXT,
    },
}
"""Problem details (RFC 9457)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is no error."""

    what: str
    content: Mapping[str, Schema] = field(default_factory=dict)
    headers: Mapping[str, Schema] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Described:
    """What a handler takes and answers; its docstring says what it is for."""

    answers: Mapping[int, Answer]
    refuses: Sequence[int] = ()
    body: Mapping[str, Schema] = field(default_factory=dict)
    body_required: bool = True
    query: Mapping[str, Schema] = field(default_factory=dict)
    headers: Mapping[str, Schema] = field(default_factory=dict)
    needs_key: bool = True
    errors: str = JSON
    """The media type of its errors."""


def described(description: Described) -> Callable[[_Handler], _Handler]:
    """Put the description at the handler."""

    def mark(handler: _Handler) -> _Handler:
        setattr(handler, _ATTRIBUTE, description)
        return handler

    return mark


def document(routes: Sequence[web.RouteDef], *, open_mode: bool) -> dict[str, Any]:
    """The document of these routes."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        description = getattr(route.handler, _ATTRIBUTE, None)
        if not isinstance(description, Described):
            raise LookupError(f"{route.method} {route.path} is not described")
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, description, open_mode)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "voicefleet signaling",
            "version": version("voicefleet"),
            "description": "Starts, changes and ends calls: the OpenAI-compatible door, WHIP, and what concerns both.",
        },
        "paths": paths,
        "components": {
            "schemas": {"Error": ERROR, "ProblemDetails": DETAILS},
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key, or an ephemeral secret (ek_...) where calls are started or ended.",
                }
            },
        },
    }


def _operation(route: web.RouteDef, description: Described, open_mode: bool) -> dict[str, Any]:
    summary = (getattr(route.handler, "__doc__", None) or "").strip().partition("\n")[0]
    shown: dict[str, Any] = {
        "summary": summary,
        "operationId": f"{route.handler.__name__}_{route.method.lower()}_{re.sub(r'[^a-z]+', '_', route.path)}",
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": TEXT} for name in re.findall(r"{(\w+)}", route.path)
    ]
    for place, named in (("query", description.query), ("header", description.headers)):
        parameters += [{"name": name, "in": place, "schema": schema} for name, schema in named.items()]
    if parameters:
        shown["parameters"] = parameters
    if description.body:
        content = {kind: {"schema": schema} for kind, schema in description.body.items()}
        shown["requestBody"] = {"required": description.body_required, "content": content}
    refuses = {*description.refuses, 500}
    if description.needs_key and not open_mode:
        refuses |= {401}
    if description.needs_key:
        shown["security"] = [] if open_mode else [{"key": []}]
    answers = {str(status): _shown(answer) for status, answer in description.answers.items()}
    answers |= {str(status): _refusal(status, description.errors) for status in sorted(refuses)}
    shown["responses"] = answers
    return shown


def _shown(answer: Answer) -> dict[str, Any]:
    shown: dict[str, Any] = {"description": answer.what}
    if answer.content:
        shown["content"] = {kind: {"schema": schema} for kind, schema in answer.content.items()}
    if answer.headers:
        shown["headers"] = {name: {"schema": schema, "required": True} for name, schema in answer.headers.items()}
    return shown


def _refusal(status: int, kind: str) -> dict[str, Any]:
    name = "ProblemDetails" if kind == PROBLEM else "Error"
    shown: dict[str, Any] = {
        "description": HTTPStatus(status).phrase,
        "content": {kind: {"schema": {"$ref": f"#/components/schemas/{name}"}}},
    }
    if status == 429:
        shown["headers"] = {"Retry-After": {"schema": RETRY_AFTER, "required": True}}
    return shown
