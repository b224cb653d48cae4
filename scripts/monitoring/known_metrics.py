"""Which series the services show, by the names that Prometheus keeps; and which of them an expression asks for."""

import re
from functools import cache
from typing import Final

from scripts.reference.metrics import every

_NAME: Final = re.compile(r"\bvoicefleet_(?!dev_)[a-z0-9_]+\b")
_SERIES: Final = {"histogram": ("_bucket", "_count", "_sum"), "summary": ("_count", "_sum"), "info": ("_info",)}


class UnknownMetric(ValueError):
    """An expression asks for a series that no service shows."""


def checked(expression: str, where: str) -> str:
    """The expression, if all of its metrics exist."""
    for name in asked(expression):
        if name not in _series():
            raise UnknownMetric(f"{where}: no service shows {name}")
    return expression


def asked(expression: str) -> set[str]:
    """The names of our metrics in an expression."""
    return set(_NAME.findall(expression))


@cache
def _series() -> frozenset[str]:
    return frozenset(f"{row.name}{ending}" for row in every() for ending in _SERIES.get(row.kind, ("",)))
