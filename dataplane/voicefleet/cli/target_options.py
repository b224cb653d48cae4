"""The options by which every command that is about a fleet is told which one."""

import functools
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from voicefleet.cli.target import PLUGIN, Target

Ready = Annotated[Path | None, typer.Option("--ready-file", help="A fleet on this machine, by its ready file.")]
Url = Annotated[str, typer.Option(help="Signaling's address, for a fleet that is neither here nor in a cluster.")]
KeyFile = Annotated[Path | None, typer.Option(help="The fleet's key ring, for --url.")]
Kubeconfig = Annotated[Path | None, typer.Option(help="A cluster, by its kubeconfig.")]
Context = Annotated[str, typer.Option(help="A context of the kubeconfig.")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="The namespace of the fleet in the cluster.")]
LongNamespace = Annotated[str, typer.Option("--namespace", help="The namespace of the fleet in the cluster.")]
Fleet = Annotated[str, typer.Option(help="The fleet's name, if there are several.")]

_OPTIONS: Final[dict[str, tuple[Any, Any]]] = {
    "ready": (Ready, None),
    "url": (Url, ""),
    "key_file": (KeyFile, None),
    "kubeconfig": (Kubeconfig, None),
    "context": (Context, ""),
    "namespace": (Namespace, ""),
    "fleet": (Fleet, ""),
}
OPTION_NAMES: Final = tuple(_OPTIONS)


def about_a_fleet(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command these options; it gets them as one `Target`, its argument `which`."""
    return _with_options(command, _OPTIONS)


def about_a_fleet_with_n(command: Callable[..., None]) -> Callable[..., None]:
    """The same for a command that has another use for -n."""
    return _with_options(command, {**_OPTIONS, "namespace": (LongNamespace, "")})


def about_a_cluster(command: Callable[..., None]) -> Callable[..., None]:
    """Only the options that name a cluster."""
    return _with_options(command, {name: _OPTIONS[name] for name in ("kubeconfig", "context", "namespace")})


def _with_options(command: Callable[..., None], options: dict[str, tuple[Any, Any]]) -> Callable[..., None]:
    own = [each for each in inspect.signature(command).parameters.values() if each.name != "which"]
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in options.items()
    ]

    @functools.wraps(command)
    def with_target(**given: Any) -> None:
        chosen = {name: given.pop(name) for name in options}
        command(Target(**chosen, plugin=called_as_plugin()), **given)

    own = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own]
    with_target.__signature__ = inspect.Signature([*own, *more])  # type: ignore[attr-defined]
    with_target.__annotations__ = {each.name: each.annotation for each in (*own, *more)}
    return with_target


def called_as_plugin() -> bool:
    """Whether kubectl called us."""
    return os.path.basename(sys.argv[0]) == PLUGIN
