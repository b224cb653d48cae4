"""A service's settings: one frozen model, read from the environment and an optional YAML file, checked before anything
else happens.

A field `hop_networks` is the variable `VOICEFLEET_HOP_NETWORKS` and, in the file, `hopNetworks` (spelled as in custom
resources); a field of a nested model is `VOICEFLEET_GEO__DATABASE` and `geo: {database: ...}`. The environment wins.
Lists stand in the environment with commas between their items, anything deeper as JSON; an empty variable counts as not
set. A secret `x` may come from a file that `VOICEFLEET_X_FILE` (`xFile`) names.

What is wrong becomes one sentence each: which variable or field, its value, and what is allowed. The value of a secret
is never shown.
"""

import logging
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from voicefleet.contract import Env
from voicefleet.net.near_miss import near_miss
from voicefleet.net.setting_fields import Setting, nested_model, settings_of
from voicefleet.net.setting_problems import sentence, shown

_log = logging.getLogger(__name__)

EXIT_CODE: Final = 2
"""What a process exits with when its settings are wrong, as for a wrong command line."""
LARGEST_SECRET: Final = 64 * 1024
"""Octets of a file that holds a secret."""

_SERVICE_LINK: Final = re.compile(r"_SERVICE_(HOST|PORT(_\w+)?)$|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$")
"""What a kubelet sets for a Service whose name begins with "voicefleet-": not meant for us."""
_KNOWN: Final = frozenset(value for name, value in vars(Env).items() if name.isupper() and name != "PREFIX")


class Settings(BaseModel):
    """What a service's settings derive from: frozen, nothing unknown; the docstring under a field describes it."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        loc_by_alias=False,
        use_attribute_docstrings=True,
        validate_by_alias=True,
        validate_by_name=True,
    )


class ConfigurationError(Exception):
    """Settings that cannot be used: one sentence for each thing that is wrong."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


_Model = TypeVar("_Model", bound=Settings)
_Path = tuple[str, ...]


@dataclass(slots=True)
class _Found:
    """What was read, where it came from, and what could not even be read."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[_Path, str] = field(default_factory=dict)
    problems: dict[_Path, str] = field(default_factory=dict)


def load(model: type[_Model], environ: Mapping[str, str], file: Path | None = None) -> _Model:
    """The settings, or `ConfigurationError` with everything that is wrong with them."""
    settings = {setting.path: setting for setting in settings_of(model)}
    found = _Found()
    if file is not None:
        found.values = _by_name(_read_yaml(file), model)
    _read_environment(environ, settings, found)
    _read_secret_files(environ, settings, found, file)
    problems = list(found.problems.values())
    try:
        value = model.model_validate(found.values)
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            if problem["loc"] not in found.problems:
                problems.append(sentence(problem, model, settings, found.origins, file.name if file else ""))
        raise ConfigurationError(*dict.fromkeys(problems)) from None
    if problems:
        raise ConfigurationError(*problems)
    return value


def load_or_exit(model: type[_Model]) -> _Model:
    """The settings of this process; says on standard error what is wrong, a sentence a line, and exits with 2."""
    file = os.environ.get(Env.CONFIG)
    try:
        return load(model, os.environ, Path(file) if file else None)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")  # logs are set up by these settings, so not yet
        raise SystemExit(EXIT_CODE) from None


class _StrictLoader(yaml.SafeLoader):
    """YAML in which a key stands once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.MarkedYAMLError(problem=f"{key} stands twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        tree = yaml.load(file.read_bytes(), _StrictLoader)
    except OSError as error:
        raise ConfigurationError(
            f"{Env.CONFIG} is {shown(str(file))}, which cannot be read ({error.strerror})."
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{file.name} is not YAML: {_yaml_problem(error)}.") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict) or not all(isinstance(key, str) for key in tree):
        raise ConfigurationError(f"{file.name} is not a mapping of settings to values.")
    return tree


def _yaml_problem(error: Exception) -> str:
    """What and where, without the lines around it, in which a secret may stand."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "cannot be read"
    return f"{problem} in line {mark.line + 1}" if mark is not None else problem


def _by_name(tree: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """The tree with field names for the file's spelling, down to where values begin; unknown keys stay as they are."""
    names = {to_camel(name): name for name in model.model_fields}
    result: dict[str, Any] = {}
    for key, value in tree.items():
        name = names.get(key, key)
        nested = nested_model(model.model_fields[name].annotation) if name in model.model_fields else None
        result[name] = _by_name(value, nested) if nested is not None and isinstance(value, dict) else value
    return result


def _read_environment(environ: Mapping[str, str], settings: Mapping[_Path, Setting], found: _Found) -> None:
    for setting in settings.values():
        text = environ.get(setting.variable, "")
        if not text:
            continue
        found.origins[setting.path] = setting.variable
        try:
            _put(found.values, setting.path, _from_text(setting, text))
        except (yaml.YAMLError, ValueError, RecursionError):
            found.problems[setting.path] = f"{setting.variable} is not JSON (value not shown)."
    variables = {setting.variable for setting in settings.values()}
    variables |= {f"{setting.variable}_FILE" for setting in settings.values() if setting.secret}
    for name in environ:
        if name.startswith(Env.PREFIX) and name not in variables | _KNOWN and not _SERVICE_LINK.search(name):
            if meant := near_miss(name, variables):
                found.problems[(name,)] = f"{name} is unknown; did you mean {meant}?"
            else:
                _log.warning("%s is set, but is no setting of this service", name)


def _from_text(setting: Setting, text: str) -> Any:
    # A list may be JSON as well; "[::1]:3478,..." begins with a bracket too, but ends with a port.
    if setting.deep or (setting.item is not None and text.lstrip().startswith("[") and text.rstrip().endswith("]")):
        return yaml.load(text, _StrictLoader)
    if setting.item is not None:
        return [item.strip() for item in text.split(",") if item.strip()]
    return text


def _read_secret_files(
    environ: Mapping[str, str], settings: Mapping[_Path, Setting], found: _Found, file: Path | None
) -> None:
    """Fill secrets from the files that name them: environment before file, and never both forms in one place."""
    for setting in settings.values():
        *above, name = setting.path
        beside = (*above, f"{name}_file")
        if not setting.secret or beside in settings:
            continue
        in_file = _take(found.values, (*above, to_camel(f"{name}_file")))
        variable = f"{setting.variable}_FILE"
        path, where = environ.get(variable, ""), variable
        if path and setting.path in found.origins:
            found.problems[setting.path] = f"{setting.variable} and {variable} are both set; allowed: one of them."
            continue
        if setting.path in found.origins:
            continue
        if not path and in_file is not None and file is not None:
            path, where = str(in_file), f"{file.name}: {setting.in_file}File"
        if not path:
            continue
        found.origins[setting.path] = where
        try:
            with Path(path).open("rb") as opened:
                text = opened.read(LARGEST_SECRET).decode().rstrip("\r\n")
            _put(found.values, setting.path, text)
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or "not text"
            found.problems[setting.path] = f"{where} is {shown(path)}, which cannot be read ({reason})."


def _put(tree: dict[str, Any], path: _Path, value: Any) -> None:
    for name in path[:-1]:
        nested = tree.get(name)
        if nested is None:
            nested = tree[name] = {}
        if not isinstance(nested, dict):
            return  # the model says what is wrong with it
        tree = nested
    tree[path[-1]] = value


def _take(tree: Any, path: _Path) -> Any:
    for name in path[:-1]:
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree.pop(path[-1], None) if isinstance(tree, dict) else None
