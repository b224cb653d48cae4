"""Directory entries as JSON, strict in what is used and patient with what a newer version adds."""

from typing import Annotated, Final

from pydantic import Field, TypeAdapter, ValidationError

from voicefleet.core.directory import Entry, Kind, RelayEntry, TransceiverEntry

_ENTRY: Final = TypeAdapter[Entry](Annotated[RelayEntry | TransceiverEntry, Field(discriminator="kind")])
_ENTRIES: Final = TypeAdapter(list[Annotated[RelayEntry | TransceiverEntry, Field(discriminator="kind")]])


class EntryError(ValueError):
    """An entry that cannot be used: which field, and why."""


def dump_entry(entry: Entry) -> str:
    """One entry; equal entries give equal texts."""
    return _ENTRY.dump_json(entry).decode()


def parse_entry(text: str | bytes, kind: Kind) -> Entry:
    """One entry of this kind, or `EntryError`."""
    try:
        entry = _ENTRY.validate_json(text)
    except ValidationError as error:
        raise EntryError(_first(error)) from None
    if entry.kind is not kind:
        raise EntryError(f"kind: {entry.kind} where {kind} is expected")
    return entry


def dump_entries(entries: tuple[Entry, ...]) -> bytes:
    """Many, for keeping them on disk."""
    return _ENTRIES.dump_json(list(entries))


def parse_entries(text: bytes) -> list[Entry]:
    """What `dump_entries` wrote, or `EntryError`."""
    try:
        return list(_ENTRIES.validate_json(text))
    except ValidationError as error:
        raise EntryError(_first(error)) from None


def _first(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
