"""Keeps secrets out of log lines: by the name of a field, by the look of a value, and by heart.

It is the last thing that happens to a line before it is rendered, so it sees tracebacks and library messages as well.
It errs on the side of hiding: a hidden harmless value costs a reader a moment.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

HIDDEN: Final = "[hidden]"
DEEPEST: Final = 6
"""Levels of nested containers that are looked through; what lies deeper is not shown at all."""
SHORTEST_LEARNT: Final = 6
"""A shorter secret is not searched for in text: it would tear holes into ordinary words."""

_NAMES: Final = re.compile(
    r"passw(or)?d|secret|token|authori[sz]ation|credential|cookie|api_?key|private_?key|ice_?pwd|psk", re.IGNORECASE
)
_HARMLESS_NAMES: Final = frozenset(
    {"token_count", "tokens", "max_tokens", "input_tokens", "output_tokens", "total_tokens", "secret_name", "key_file"}
)
_VALUES: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"\b(ek|sk|pk|rk)([_-])[A-Za-z0-9_\-]{6,}"), rf"\1\2{HIDDEN}"),
    (re.compile(r"\b(Bearer\s+)[A-Za-z0-9._~+/=\-]{4,}", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"\b(Basic\s+)[A-Za-z0-9+/=_\-]{8,}", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]*\.?[A-Za-z0-9_\-]*"), HIDDEN),
    (re.compile(r"(\w://[^\s/:@]*:)[^\s/@]+@"), rf"\1{HIDDEN}@"),
    (re.compile(r"(a=ice-pwd:)\S+"), rf"\1{HIDDEN}"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), HIDDEN),
    (
        re.compile(
            r"""((?:passw(?:or)?d|secret|token|authori[sz]ation|credentials?|api_?key|client_secret)["']?\s*[=:]\s*["']?)"""
            r"""(?!\[hidden\])(?!(?:Bearer|Basic)\b)[^\s"'&,;)}\]]{3,}""",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
)


class Redactor:
    """A structlog processor that hides secrets in everything that a line carries."""

    def __init__(self) -> None:
        self._known: tuple[str, ...] = ()

    def learn(self, *secrets: str) -> None:
        """Hide these very texts wherever they stand from now on."""
        known = {*self._known, *(secret for secret in secrets if len(secret) >= SHORTEST_LEARNT)}
        self._known = tuple(sorted(known, key=len, reverse=True))

    def __call__(self, _logger: Any, _method: str, line: Mapping[str, Any]) -> dict[str, Any]:
        """The line without secrets."""
        return {name: self._value(name, value, 0) for name, value in line.items()}

    def text(self, text: str) -> str:
        """A text without secrets."""
        for secret in self._known:
            text = text.replace(secret, HIDDEN)
        for pattern, instead in _VALUES:
            text = pattern.sub(instead, text)
        return text

    def _value(self, name: str, value: Any, depth: int) -> Any:
        if name.startswith("_"):
            return value  # structlog's own fields, removed before rendering
        if value is None or isinstance(value, bool | int | float):
            return value
        if _NAMES.search(name) and name.lower() not in _HARMLESS_NAMES:
            return HIDDEN
        if isinstance(value, str):
            return self.text(value)
        if depth >= DEEPEST:
            return HIDDEN
        if isinstance(value, Mapping):
            return {self.text(str(key)): self._value(str(key), item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._value("", item, depth + 1) for item in value]
        if isinstance(value, bytes | bytearray | memoryview):
            return f"<{len(value)} octets>"
        return self.text(str(value))
