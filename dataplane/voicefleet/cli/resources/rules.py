"""The CEL rules of the CRDs, evaluated as the API server would, with the functions that Kubernetes adds to CEL."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from ipaddress import ip_address, ip_network
from typing import Any, Final

_IMMUTABLE: Final = "oldSelf"


def broken_rules(rules: Sequence[Mapping[str, str]], value: Any, old: Any) -> Iterator[str]:
    """The messages of rules that do not hold. Rules about a change hold where there was nothing before."""
    for rule in rules:
        expression = rule["rule"]
        if _IMMUTABLE in expression and old is None:
            continue
        if not _holds(expression, value, old):
            yield rule["message"]


def _holds(expression: str, value: Any, old: Any) -> bool:
    import cel  # only here: it takes a quarter of a second, and only commands that read a fleet's file need it

    context = cel.Context(variables={"self": value, _IMMUTABLE: old}, functions=_FUNCTIONS)
    return bool(_compiled(expression).execute(context))


@cache
def _compiled(expression: str) -> Any:
    import cel

    return cel.compile(expression)


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text  # Kubernetes knows no zones


def _network(text: str) -> str:
    address, _, length = text.partition("/")
    return f"{ip_address(address)}/{length}"


def _masked(text: str) -> str:
    return str(ip_network(text, strict=False))


_FUNCTIONS: Final = {"isCIDR": _is_network, "isIP": _is_address, "cidr": _network, "masked": _masked}
"""https://kubernetes.io/docs/reference/using-api/cel: those that our rules use."""
