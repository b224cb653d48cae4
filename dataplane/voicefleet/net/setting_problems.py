"""Says in one sentence what is wrong with a setting: where it came from, its value, what is allowed."""

import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic.alias_generators import to_camel, to_snake
from pydantic_core import ErrorDetails

from voicefleet.net.near_miss import near_miss
from voicefleet.net.setting_fields import Setting, allowed, nested_model

Path = tuple[str, ...]
LONGEST_VALUE: Final = 200
_PASSWORD_IN_URL: Final = re.compile(r"(\w://[^\s/@]*:)[^\s/@]+@")
_SECRET_NAME: Final = re.compile(r"pass|secret|token|key|auth|credential", re.IGNORECASE)


def sentence(
    problem: ErrorDetails,
    model: type[BaseModel],
    settings: Mapping[Path, Setting],
    origins: Mapping[Path, str],
    file: str,
) -> str:
    """What is wrong, for a person who can change the environment or the file."""
    location = problem["loc"]
    setting, rest = _find(location, settings)
    if problem["type"] == "extra_forbidden":
        return _unknown(location, rest, setting, model, origins, file)
    if setting is None:
        return _branch(problem, tuple(str(part) for part in location), file)
    where = origins.get(setting.path) or f"{file}: {setting.in_file}"
    kind = setting.item if rest and isinstance(rest[0], int) and setting.item is not None else setting.annotation
    if problem["type"] == "missing":
        if not rest:
            beside = f" (or {setting.in_file} in {file})" if file else ""
            return f"{setting.variable}{beside} is missing; allowed: {allowed(setting.annotation)}."
        return f"{where}{_inside(rest)} is missing."
    words = allowed(kind) if len(rest) <= 1 and not (rest and isinstance(rest[0], str)) else ""
    secret = setting.secret or any(isinstance(part, str) and _SECRET_NAME.search(part) for part in rest)
    value = "a value that is not shown" if secret else shown(problem["input"])
    why = _why(problem)
    if not words:
        words, why = why or _pydantic_words(problem), ""
    if secret and _value_text(problem["input"]) in f"{why}{words}":
        why = ""
    return f"{where}{_inside(rest)} is {value}{', ' + why if why else ''}; allowed: {words}."


def shown(value: Any) -> str:
    """A value as an error shows it: short, on one line, without a password; containers only by their kind."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple | set | frozenset):
        return "a list"
    text = _PASSWORD_IN_URL.sub(r"\1***@", value if isinstance(value, str) else str(value))
    if len(text) > LONGEST_VALUE:
        text = text[: LONGEST_VALUE - 1] + "…"
    return repr(text) if isinstance(value, str) else text


def _find(
    location: tuple[int | str, ...], settings: Mapping[Path, Setting]
) -> tuple[Setting | None, tuple[int | str, ...]]:
    for length in range(len(location), 0, -1):
        path = tuple(str(part) for part in location[:length])
        if path in settings:
            return settings[path], location[length:]
    return None, ()


def _branch(problem: ErrorDetails, path: Path, file: str) -> str:
    """A problem of a model as a whole: of a nested one that is no mapping, or found by a model's own validator."""
    name = ".".join(to_camel(part) for part in path)
    if problem["type"] == "value_error":
        return f"{name + ': ' if name else ''}{_why(problem)}."
    return f"{file + ': ' if file else ''}{name} is {shown(problem['input'])}; allowed: a mapping."


def _unknown(
    location: tuple[int | str, ...],
    rest: tuple[int | str, ...],
    setting: Setting | None,
    model: type[BaseModel],
    origins: Mapping[Path, str],
    file: str,
) -> str:
    if setting is not None:
        where = origins.get(setting.path) or f"{file}: {setting.in_file}"
        return f"{where}{_inside(rest)} is unknown."
    *above, name = (str(part) for part in location)
    level: type[BaseModel] | None = model
    for part in above:
        level = nested_model(level.model_fields[part].annotation) if level is not None else None
    known = [to_camel(field) for field in level.model_fields] if level is not None else []
    meant = near_miss(to_camel(to_snake(name)), known)
    hint = f"did you mean {meant}?" if meant else f"allowed: {', '.join(sorted(known))}."
    return f"{file}: {'.'.join((*map(to_camel, above), name))} is unknown; {hint}"


def _why(problem: ErrorDetails) -> str:
    error = problem.get("ctx", {}).get("error")
    return str(error).rstrip(".") if isinstance(error, Exception) else ""


def _pydantic_words(problem: ErrorDetails) -> str:
    text = problem["msg"].removeprefix("Input should be ").rstrip(".")
    return text[:1].lower() + text[1:]


def _inside(rest: tuple[int | str, ...]) -> str:
    names = (part if isinstance(part, int) or "_" not in part else to_camel(part) for part in rest)
    return "".join(f"[{name}]" if isinstance(name, int) else f".{name}" for name in names)


def _value_text(value: Any) -> str:
    if isinstance(value, SecretStr | SecretBytes):
        value = value.get_secret_value()
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
