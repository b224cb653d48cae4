"""The four CustomResourceDefinitions as YAML, made from the typed models.

`scripts/check --fix` writes them to crds/.
"""

from typing import Any, Final

import yaml

from voicefleet.contract import GROUP, VERSION
from voicefleet_operator.api.kinds import CATEGORY, KINDS, Kind
from voicefleet_operator.api.schema import schema
from voicefleet_operator.api.spelling import Rule

FOLDER: Final = "crds"
_HEADER: Final = "# Made from voicefleet_operator.api by scripts/check --fix.\n"


def files() -> dict[str, str]:
    """Each definition by its path in the repository."""
    return {f"{FOLDER}/{kind.plural}.yaml": _HEADER + _yaml(definition(kind)) for kind in KINDS.values()}


def definition(kind: Kind) -> dict[str, Any]:
    """One definition, as the API server takes it."""
    subresources: dict[str, Any] = {"status": {}}
    if kind.scales:
        subresources["scale"] = {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        }
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": [
            {"name": each.name, "type": each.type, "jsonPath": each.path}
            | ({"priority": each.priority} if each.priority else {})
            for each in kind.columns
        ],
        "subresources": subresources,
        "schema": {"openAPIV3Schema": _whole(kind)},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.crd, "labels": {"app.kubernetes.io/part-of": "voicefleet"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": [kind.short],
                "categories": [CATEGORY],
            },
            "versions": [version],
        },
    }


def _whole(kind: Kind) -> dict[str, Any]:
    spec, status = schema(kind.spec), schema(kind.status)
    if "required" not in spec:
        spec["default"] = {}
    # A status is written by the operator alone and may be partial while it is: nothing of it is filled in or demanded.
    _without_defaults(status)
    _tell_defaults(spec)
    document: dict[str, Any] = {
        "type": "object",
        "description": kind.purpose,
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status,
        },
    }
    if "required" in spec:
        document["required"] = ["spec"]
    if kind.rules:
        document["x-kubernetes-validations"] = [_rule(rule) for rule in kind.rules]
    return document


def _rule(rule: Rule) -> dict[str, str]:
    return {"rule": rule.expression, "message": rule.message}


def _without_defaults(document: Any) -> None:
    if isinstance(document, dict):
        document.pop("default", None)
        for value in document.values():
            _without_defaults(value)


def _tell_defaults(document: dict[str, Any]) -> None:
    """In the description as well: kubectl explain shows no other part of the schema that would say it."""
    for each in document.get("properties", {}).values():
        default = each.get("default")
        if isinstance(default, bool):
            default = str(default).lower()
        if default not in (None, "") and isinstance(default, str | int | float):
            each["description"] = f"{each['description']} Default: {default}."
        _tell_defaults(each.get("items", each))


class _Plain(yaml.SafeDumper):
    """No anchors: a reader should see what stands there."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write everything out."""
        return True


def _yaml(document: dict[str, Any]) -> str:
    text: str = yaml.dump(document, Dumper=_Plain, sort_keys=False, width=110, allow_unicode=True)
    return text
