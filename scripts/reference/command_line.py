"""Commands, options and exit codes, from the command line itself."""

import re
from pathlib import Path
from typing import Any, Final

import typer

from voicefleet.cli import failure
from voicefleet.cli.command import app
from voicefleet.cli.failure import Exit
from voicefleet.cli.target_options import OPTION_NAMES

_HEAD: Final = """# Command line

`voicefleet COMMAND`, or `kubectl voicefleet COMMAND`: the same program as a kubectl plugin, which is then about a
cluster unless told otherwise. `--json` makes the answer, and errors too, JSON. `voicefleet --install-completion`
teaches your shell the commands.

"""
_WHICH: Final = """## Which fleet

Without any of these, a command is about the fleet that runs on this machine, or else about the cluster of your
kubeconfig. What it asks of a cluster goes through its API server; `voicefleet doctor` says which roles are missing.

"""


def files() -> dict[str, str]:
    """The page by its path in the repository."""
    return {"docs/reference/command-line.md": page()}


def page() -> str:
    """Which fleet, each command, exit codes."""
    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    which = {each.name: each for each in commands["status"].params if each.name in OPTION_NAMES}
    text = _HEAD + _WHICH + _table([which[name] for name in OPTION_NAMES])
    for name, command in commands.items():
        own = [each for each in command.params if each.name not in OPTION_NAMES]
        arguments = [each for each in own if each.param_type_name == "argument"]
        usage = " ".join([name, *(each.name.upper() for each in arguments), "[OPTIONS]"])
        shared = [each for each in command.params if each.name in OPTION_NAMES]
        about = ", and those of which fleet" if len(shared) == len(OPTION_NAMES) else ""
        about = about or "".join(f", and `--{each.name}`" for each in shared)
        text += f"## {name}\n\n{_sentence(command.help)}\n\n```\nvoicefleet {usage}\n```\n\n"
        text += f"Options{about}:\n\n{_table(own)}"
    return text + _exits()


def _table(params: list[Any]) -> str:
    rows = [f"| {_names(each)} | {_sentence(each.help)} | {_default(each.default)} |" for each in params]
    return "\n".join(["| option | meaning | default |", "|---|---|---|", *rows]) + "\n\n"


def _names(param: Any) -> str:
    if param.param_type_name == "argument":
        return f"`{param.name.upper()}`"
    return ", ".join(f"`{name}`" for name in sorted(param.opts, key=len, reverse=True))


def _default(value: object) -> str:
    return "" if value in (None, "", False) or callable(value) else f"`{value}`"


def _sentence(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _exits() -> str:
    source = Path(failure.__file__).read_text()
    said = dict(re.findall(r"    (\w+) = \d+\n    \"\"\"(.*?)\"\"\"", source))
    rows = [f"| {int(each)} | {said[each.name]} |" for each in Exit]
    return "\n".join(["## Exit codes", "", "| code | meaning |", "|---|---|", *rows]) + "\n"
