"""The custom resources, field by field, from the definitions that the API server gets."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from voicefleet_operator.api.crds import definition
from voicefleet_operator.api.kinds import KINDS

_HEAD: Final = """# Custom resources

Made from the definitions in `crds/` that the API server holds objects against; `kubectl explain relaypool.spec` says
the same. Fields have defaults unless they are marked as required.
"""


def files() -> dict[str, str]:
    """The page by its path in the repository."""
    return {"docs/reference/resources.md": page()}


def page() -> str:
    """One section a kind."""
    return _HEAD + "".join(_kind(definition(kind)) for kind in KINDS.values())


def _kind(made: Mapping[str, Any]) -> str:
    names = made["spec"]["names"]
    (version,) = made["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    lines = [
        "",
        f"## {names['kind']}",
        "",
        f"`{made['spec']['group']}/{version['name']}`, short name `{names['shortNames'][0]}`. {schema['description']}",
        "",
        "| field | type | default | what it is |",
        "|---|---|---|---|",
        *_rows("spec", schema["properties"]["spec"]),
        "",
    ]
    rules = sorted(set(_rules(schema["properties"]["spec"])))
    if rules:
        lines += ["The API server also refuses:", "", *(f"* {rule}" for rule in rules), ""]
    lines += ["Status:", "", "| field | type | what it is |", "|---|---|---|"]
    lines += [
        f"| `{path}` | {kind} | {text} |" for path, kind, _, text in _fields("status", schema["properties"]["status"])
    ]
    return "\n".join(lines) + "\n"


def _rows(path: str, schema: Mapping[str, Any]) -> Iterator[str]:
    for field, kind, default, text in _fields(path, schema):
        yield f"| `{field}` | {kind} | {default} | {text} |"


def _fields(path: str, schema: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        where = f"{path}.{name}"
        default = _default(field)
        told = f" Default: {default.strip('`')}."  # has a column of its own here
        text = " ".join(str(field.get("description", "")).split()).removesuffix(told).replace("|", "\\|")
        yield where, _type(field), "**required**" if name in required else default, text
        nested = field.get("items", field)
        yield from _fields(where + ("[]" if "items" in field else ""), nested)


def _type(field: Mapping[str, Any]) -> str:
    if "enum" in field:
        return " \\| ".join(f"`{value}`" for value in field["enum"])
    if field.get("x-kubernetes-int-or-string"):
        return "number or text"
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}"
    kind = str(field.get("type", "any"))
    bounds = [f"{sign} {field[key]}" for key, sign in (("minimum", "≥"), ("maximum", "≤")) if key in field]
    return f"{kind} {', '.join(bounds)}".strip()


def _default(field: Mapping[str, Any]) -> str:
    default = field.get("default")
    if default is None or isinstance(default, dict) or default in ([], ""):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`".replace("|", "\\|")


def _rules(schema: Mapping[str, Any]) -> Iterator[str]:
    for rule in schema.get("x-kubernetes-validations", ()):
        if "message" in rule:
            yield str(rule["message"])
    for field in schema.get("properties", {}).values():
        yield from _rules(field.get("items", field))
