"""The reference of all settings as a Markdown table, made from the models, so that it cannot be wrong."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from voicefleet.net.setting_fields import Setting, allowed, annotation_metadata, settings_of
from voicefleet.net.setting_types import Allowed, format_duration


def reference(services: Mapping[str, type[BaseModel]]) -> str:
    """One section a service, one row a setting, in the order of the model."""
    return "\n".join(_section(name, model) for name, model in services.items())


def _section(name: str, model: type[BaseModel]) -> str:
    rows = [
        f"## {name}",
        "",
        " ".join((model.__doc__ or "").split()),
        "",
        "| environment | file | allowed | default | what it is |",
        "|---|---|---|---|---|",
        *(_row(setting) for setting in settings_of(model)),
        "",
    ]
    return "\n".join(rows)


def _row(setting: Setting) -> str:
    variable = f"`{setting.variable}`"
    if setting.secret and not setting.path[-1].endswith("_file"):
        variable += f" or `{setting.variable}_FILE`"
    default = "**must be set**" if setting.required else _default(setting)
    cells = (variable, f"`{setting.in_file}`", allowed(setting.annotation), default, setting.description)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(setting: Setting) -> str:
    value = setting.default
    if value is None or setting.secret:
        return ""
    if any(isinstance(item, Allowed) and item.unit == " s" for item in annotation_metadata(setting.annotation)):
        return f"`{format_duration(value)}`"
    return f"`{_text(value)}`" if _text(value) else ""


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list | frozenset) and not hasattr(value, "_fields"):
        return ",".join(_text(item) for item in value)
    return str(getattr(value, "value", value))
