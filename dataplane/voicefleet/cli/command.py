"""The command line of `voicefleet`: what it understands, and which part of the product does it."""

import argparse
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from voicefleet.contract import Port


def run(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks for; its status is for the shell."""
    parser = argparse.ArgumentParser(
        prog="voicefleet", description="Real-time voice AI on Kubernetes, or on one machine."
    )
    parser.add_argument("--version", action="version", version=f"voicefleet {version('voicefleet')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    up = commands.add_parser("up", help="run a fleet on this machine")
    up.add_argument(
        "--port", type=int, default=Port.SIGNALING, help="where clients call; 0 for a free one (default: %(default)s)"
    )
    up.add_argument("--ready-file", type=Path, metavar="FILE", help="write JSON for scripts when all is ready")
    up.set_defaults(run=_up)
    steering = commands.add_parser("steering", help="ask where calls go").add_subparsers(
        metavar="QUESTION", required=True
    )
    why = steering.add_parser("explain", help="say in words where calls of an address would go, and why")
    why.add_argument("address", help="a client's IP address")
    why.add_argument("--url", default=f"http://127.0.0.1:{Port.SIGNALING}", help="signaling (default: %(default)s)")
    why.add_argument("--key-file", type=Path, required=True, help="the fleet's key ring: operators have it")
    why.add_argument("--place", metavar="LAT,LONG", help="suppose that the client is there")
    why.set_defaults(run=_explain)
    chosen = parser.parse_args(arguments)
    status: int = chosen.run(chosen)
    return status


def _up(chosen: argparse.Namespace) -> int:
    from voicefleet.cli.local.up import up  # only here: `--version` need not load the whole product

    return up(chosen.port, chosen.ready_file)


def _explain(chosen: argparse.Namespace) -> int:
    from voicefleet.cli.steering import explain

    return explain(chosen.address, chosen.url, chosen.key_file, chosen.place)
