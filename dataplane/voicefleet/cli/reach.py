"""How to reach the fleet that a command is about: one on this machine, one behind a URL, or one in a cluster."""

import os
from pathlib import Path
from typing import Any

import yaml

from voicefleet.cli.cluster_api import ClusterFleet
from voicefleet.cli.failure import Exit, Failure
from voicefleet.cli.fleet_api import FleetApi, of_ready_file
from voicefleet.cli.local import ready_file
from voicefleet.cli.target import Target


def local_fleet(target: Target) -> ready_file.ReadyFile | None:
    """The fleet on this machine that is meant, if one is."""
    if target.ready is not None:
        found = ready_file.read(target.ready)
        if not ready_file.alive(found.pid):
            raise Failure(
                f"the fleet of {target.ready} does not run any more", "start it with voicefleet up", Exit.UNREACHABLE
            )
        return found
    if target.url or target.in_cluster or target.plugin:
        return None
    return next((each for each in ready_file.running() if target.fleet in ("", each.fleet)), None)


def choose(target: Target) -> FleetApi | ClusterFleet:
    """How to reach the fleet that is meant."""
    if target.url:
        if target.key_file is None:
            raise Failure("--url needs --key-file", "give the fleet's key ring: operators have it", Exit.USAGE)
        return FleetApi(target.url.rstrip("/"), target.key_file)
    local = local_fleet(target)
    if local is not None:
        return of_ready_file(local)
    return in_cluster(target)


def in_cluster(target: Target) -> ClusterFleet:
    """The fleet of the cluster that is meant."""
    path = kubeconfig(target)
    return ClusterFleet(path, target.context, target.namespace or _namespace(path, target.context), target.fleet)


def kubeconfig(target: Target) -> Path:
    """The file that says where the cluster is."""
    named = target.kubeconfig or Path(os.environ.get("KUBECONFIG", "").split(":")[0] or "~/.kube/config").expanduser()
    if named.is_file():
        return named
    if target.kubeconfig is not None:
        raise Failure(f"{named} does not exist", "give a kubeconfig with --kubeconfig", Exit.UNREACHABLE)
    if target.in_cluster or target.plugin:
        raise Failure("there is no kubeconfig", f"give one with --kubeconfig, or make {named}", Exit.UNREACHABLE)
    raise Failure(
        "no fleet runs here, and there is no kubeconfig",
        "start one with voicefleet up, or name a cluster with --kubeconfig",
        Exit.UNREACHABLE,
    )


def _namespace(path: Path, context: str) -> str:
    """The namespace of the context, as kubectl has it."""
    try:
        document: Any = yaml.safe_load(path.read_text())
        name = context or document.get("current-context")
        found = next(each["context"] for each in document["contexts"] if each["name"] == name)
        return str(found.get("namespace") or "default")
    except StopIteration:
        raise Failure(f"{path} has no context {context!r}", "see kubectl config get-contexts", Exit.USAGE) from None
    except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError):
        raise Failure(f"{path} is not a kubeconfig", "give one with --kubeconfig", Exit.INVALID) from None
