"""The command line of `voicefleet`: what it understands, and which part of the product does it."""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version


def run(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks for; its status is for the shell."""
    parser = argparse.ArgumentParser(
        prog="voicefleet", description="Real-time voice AI on Kubernetes, or on one machine."
    )
    parser.add_argument("--version", action="version", version=f"voicefleet {version('voicefleet')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    up = commands.add_parser("up", help="run a fleet on this machine")
    up.add_argument("-f", "--file", metavar="FILE", help="the fleet, as kubectl reads it")
    up.set_defaults(run=_up)
    chosen = parser.parse_args(arguments)
    status: int = chosen.run(chosen)
    return status


def _up(chosen: argparse.Namespace) -> int:
    print(
        "voicefleet: no service can be started yet: relay, transceiver and signaling are being built", file=sys.stderr
    )
    return 1
