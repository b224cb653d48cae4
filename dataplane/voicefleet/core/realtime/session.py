"""A session's configuration: what it begins with, and what a `session.update` makes of it.

A session is plain JSON, because most of it is for the model and not for us: an update is checked, then merged. What an
update does not name stays; objects are merged field by field; lists and everything that is not ours are replaced; and a
turn detection of another type begins with the defaults of that type.
"""

import copy
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from voicefleet.core.realtime.shape import (
    Check,
    ShapeError,
    anything,
    either,
    fields,
    flag,
    integer,
    list_of,
    number,
    one_of,
    or_null,
    some_object,
    tagged,
    text,
)

Session: TypeAlias = dict[str, Any]

PCM: Final = {"type": "audio/pcm", "rate": 24_000}
DEFAULT_MODEL: Final = "voicefleet"
"""Of a session that names none."""
DEFAULT_VOICE: Final = "alloy"
LIFE: Final = 3600
"""Seconds that `expires_at` promises; a call is not ended by it."""

_DETECTION: Final[dict[str, Session]] = {
    "server_vad": {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "idle_timeout_ms": None,
        "create_response": True,
        "interrupt_response": True,
    },
    "semantic_vad": {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": True,
    },
}
"""What a turn detection is where nobody says otherwise."""

_FORMAT: Final = tagged(
    {
        "audio/pcm": fields({"type": text, "rate": integer(24_000, 24_000)}),
        "audio/pcmu": fields({"type": text}, open_ended=True),
        "audio/pcma": fields({"type": text}, open_ended=True),
    }
)
_DETECTIONS: Final = tagged(
    {
        "server_vad": fields(
            {
                "type": text,
                "threshold": or_null(number(0, 1)),
                "prefix_padding_ms": or_null(integer(0, 5_000)),
                "silence_duration_ms": or_null(integer(20, 10_000)),
                "idle_timeout_ms": or_null(integer(1_000, 600_000)),
                "create_response": or_null(flag),
                "interrupt_response": or_null(flag),
            }
        ),
        "semantic_vad": fields(
            {
                "type": text,
                "eagerness": or_null(one_of("low", "medium", "high", "auto")),
                "create_response": or_null(flag),
                "interrupt_response": or_null(flag),
            }
        ),
    }
)
_INPUT: Final = fields(
    {
        "format": _FORMAT,
        "noise_reduction": or_null(some_object),
        "transcription": or_null(some_object),
        "turn_detection": or_null(_DETECTIONS),
    }
)
_OUTPUT: Final = fields(
    {"format": _FORMAT, "voice": either(some_object, text), "speed": number(0.25, 1.5)}, open_ended=True
)
_TOKENS: Final = or_null(either(one_of("inf"), integer(1, 1_000_000)))
_REALTIME: Final = fields(
    {
        "type": text,
        "model": text,
        "instructions": text,
        "output_modalities": list_of(one_of("text", "audio")),
        "audio": fields({"input": _INPUT, "output": _OUTPUT}),
        "tools": list_of(some_object),
        "tool_choice": either(some_object, text),
        "max_output_tokens": _TOKENS,
        "include": or_null(list_of(text)),
        "tracing": anything,
        "truncation": anything,
        "prompt": or_null(some_object),
        "reasoning": or_null(some_object),
        "parallel_tool_calls": or_null(flag),
        "temperature": or_null(number(0, 2)),
    }
)
_TRANSCRIPTION: Final = fields(
    {"type": text, "audio": fields({"input": _INPUT}), "include": or_null(list_of(text))}, open_ended=False
)
_TYPES: Final[dict[str, Check]] = {"realtime": _REALTIME, "transcription": _TRANSCRIPTION}
_SERVER_FIELDS: Final = ("id", "object", "expires_at")
"""Ours to say; a client that sends back what it was told is not refused for them."""
_REPLACED: Final = frozenset({"prompt", "tracing", "truncation", "tool_choice", "reasoning", "format", "voice"})


def begun(asked: Mapping[str, Any], session_id: str, unix_now: float) -> Session:
    """The session that a call starts with; raises `ShapeError` for a configuration that can't be used.

    A call that asks for what we do not know is served without it: what is `asked` here came before there was a client
    to tell.
    """
    kind = asked.get("type", "realtime")
    base = _beginning(kind)
    base |= {"id": session_id, "object": f"realtime.{'' if kind == 'realtime' else 'transcription_'}session"}
    base["expires_at"] = int(unix_now) + LIFE
    return updated(base, {name: value for name, value in asked.items() if name != "type"}, model_too=True)


def updated(session: Session, update: Any, at: str = "session", *, model_too: bool = False) -> Session:
    """The session after an update; raises `ShapeError`, and then nothing of the update holds.

    The model of a session stays what it was: official clients always send the name of one, whatever the call's
    application chose before.
    """
    some_object(update, at)
    wanted = {name: value for name, value in update.items() if name not in _SERVER_FIELDS}
    kind = wanted.get("type", session["type"])
    if kind != session["type"]:
        raise ShapeError(f"{at}.type", f"A session of type {session['type']!r} stays one.", "invalid_value")
    _fill_detection(session, wanted, at)
    _TYPES[kind](wanted, at)
    if not model_too:
        wanted.pop("model", None)
    modalities = wanted.get("output_modalities")
    if modalities is not None and len(modalities) != 1:
        raise ShapeError(f"{at}.output_modalities", "Either ['audio'] or ['text']; sound has its transcript anyway.")
    return _merged(copy.deepcopy(session), wanted)


def turn_detection(session: Mapping[str, Any]) -> dict[str, Any] | None:
    """Who decides about turns, as the session has it; None is push-to-talk."""
    detection: dict[str, Any] | None = session["audio"]["input"]["turn_detection"]
    return detection


def audio_format(session: Mapping[str, Any], direction: str) -> str:
    """`audio/pcm`, `audio/pcmu` or `audio/pcma`, of `input` or `output`."""
    kind: str = session["audio"].get(direction, {}).get("format", PCM)["type"]
    return kind


def _beginning(kind: Any) -> Session:
    heard = {
        "format": dict(PCM),
        "noise_reduction": None,
        "transcription": None,
        "turn_detection": dict(_DETECTION["server_vad"]),
    }
    if kind == "transcription":
        return {"type": kind, "audio": {"input": heard}, "include": None}
    if kind != "realtime":
        raise ShapeError("session.type", f"Invalid value: {kind!r}. Supported values are: 'realtime', 'transcription'.")
    return {
        "type": kind,
        "model": DEFAULT_MODEL,
        "instructions": "",
        "output_modalities": ["audio"],
        "audio": {"input": heard, "output": {"format": dict(PCM), "voice": DEFAULT_VOICE, "speed": 1.0}},
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "include": None,
    }


def _fill_detection(session: Session, wanted: dict[str, Any], at: str) -> None:
    """A turn detection as a client may write it, without its type or without most fields, becomes a whole one."""
    audio = wanted.get("audio")
    heard = audio.get("input") if isinstance(audio, dict) else None
    asked = heard.get("turn_detection") if isinstance(heard, dict) else None
    if not isinstance(audio, dict) or not isinstance(heard, dict) or not isinstance(asked, dict):
        return
    now = turn_detection(session)
    kind = asked.get("type", now["type"] if now else "server_vad")
    if not isinstance(kind, str) or kind not in _DETECTION:
        return  # the check says what is wrong with it
    before = now if now is not None and now["type"] == kind else _DETECTION[kind]
    given = {name: value for name, value in asked.items() if value is not None or name == "idle_timeout_ms"}
    wanted["audio"] = audio | {"input": heard | {"turn_detection": {**before, **given, "type": kind}}}


def _merged(old: dict[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """`old`, changed in place."""
    for name, value in new.items():
        inner: Any = old.get(name)
        mergeable = isinstance(inner, dict) and isinstance(value, dict) and name not in _REPLACED
        if mergeable and inner.get("type") == value.get("type", inner.get("type")):
            old[name] = _merged(inner, value)
        else:
            old[name] = copy.deepcopy(value)
    return old
