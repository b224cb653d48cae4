"""What a client's JSON has to look like: checks that name the parameter at fault, as the real service does."""

from collections.abc import Callable, Mapping
from typing import Any, Final

Check = Callable[[Any, str], None]
"""(value, name of the parameter); raises `ShapeError`."""


class ShapeError(ValueError):
    """A value that can't be used: `param` is where it stands, `code` is for programs."""

    def __init__(self, param: str, message: str, code: str = "invalid_value") -> None:
        super().__init__(message)
        self.param = param
        self.code = code


def text(value: Any, at: str) -> None:
    """Any string."""
    if not isinstance(value, str):
        raise _wrong_type(value, at, "a string")


def flag(value: Any, at: str) -> None:
    """True or false."""
    if not isinstance(value, bool):
        raise _wrong_type(value, at, "a boolean")


def anything(value: Any, at: str) -> None:
    """Not for us to judge."""


def some_object(value: Any, at: str) -> None:
    """An object whose fields are not for us to judge."""
    if not isinstance(value, dict):
        raise _wrong_type(value, at, "an object")


def one_of(*allowed: str) -> Check:
    """One of these strings."""

    def check(value: Any, at: str) -> None:
        if value not in allowed or not isinstance(value, str):
            listed = ", ".join(map(repr, allowed))
            raise ShapeError(at, f"Invalid value: {value!r}. Supported values are: {listed}.")

    return check


def integer(least: int, most: int) -> Check:
    """A whole number in this range."""

    def check(value: Any, at: str) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            raise _wrong_type(value, at, "an integer")
        _in_range(value, at, least, most)

    return check


def number(least: float, most: float) -> Check:
    """A number in this range."""

    def check(value: Any, at: str) -> None:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise _wrong_type(value, at, "a number")
        _in_range(value, at, least, most)

    return check


def either(*checks: Check) -> Check:
    """What one of these takes; the last one says what is wrong."""

    def check(value: Any, at: str) -> None:
        for each in checks[:-1]:
            try:
                return each(value, at)
            except ShapeError:
                continue
        checks[-1](value, at)

    return check


def or_null(inner: Check) -> Check:
    """The same, or null."""

    def check(value: Any, at: str) -> None:
        if value is not None:
            inner(value, at)

    return check


def list_of(inner: Check) -> Check:
    """A list of it."""

    def check(value: Any, at: str) -> None:
        if not isinstance(value, list):
            raise _wrong_type(value, at, "an array")
        for number, each in enumerate(value):
            inner(each, f"{at}[{number}]")

    return check


def fields(known: Mapping[str, Check], *, needed: tuple[str, ...] = (), open_ended: bool = False) -> Check:
    """An object with these fields and no others, unless it is open-ended."""

    def check(value: Any, at: str) -> None:
        if not isinstance(value, dict):
            raise _wrong_type(value, at, "an object")
        for name in needed:
            if name not in value:
                where = _below(at, name)
                raise ShapeError(where, f"Missing required parameter: '{where}'.", "missing_required_parameter")
        for name, inner in value.items():
            where = _below(at, name)
            if name in known:
                known[name](inner, where)
            elif not open_ended:
                raise ShapeError(where, f"Unknown parameter: '{where}'.", "unknown_parameter")

    return check


def tagged(kinds: Mapping[str, Check]) -> Check:
    """An object whose `type` says which of these it has to be."""
    known: Final = one_of(*kinds)

    def check(value: Any, at: str) -> None:
        fields({}, needed=("type",), open_ended=True)(value, at)
        known(value["type"], _below(at, "type"))
        kinds[value["type"]](value, at)

    return check


def _below(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


def _in_range(value: float, at: str, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ShapeError(at, f"Invalid value: {value!r}. It has to be from {least:g} to {most:g}.")


def _wrong_type(value: Any, at: str, wanted: str) -> ShapeError:
    return ShapeError(
        at, f"Invalid type for '{at}': expected {wanted}, but got {_kind(value)} instead.", "invalid_type"
    )


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case list():
            return "an array"
        case _:
            return "an object"
