"""The command line of `voicefleet`: what it understands. What a command does stands in a module of its own.

Those modules are imported when their command runs, so that `--help` and completion answer at once.
"""

import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from voicefleet.cli.failure import Exit, Failure
from voicefleet.cli.output import say_failure
from voicefleet.cli.target import Target
from voicefleet.cli.target_options import about_a_cluster, about_a_fleet, about_a_fleet_with_n
from voicefleet.contract import Port

app = typer.Typer(
    name="voicefleet",
    help="Real-time voice AI on Kubernetes, or on one machine.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

AsJson = Annotated[bool, typer.Option("--json", help="Say it as JSON, for programs.")]
TRACE = "VOICEFLEET_TRACE"
FILE_NAME = Path("voicefleet.yaml")


def run(arguments: list[str] | None = None) -> int:
    """Do what the command line asks for; its status is for the shell."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        app(arguments, prog_name="voicefleet")
    except Failure as failure:
        say_failure(failure, as_json="--json" in arguments)
        return int(failure.exit)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read us has seen enough
        return int(Exit.OK)
    except Exception as error:
        if os.environ.get(TRACE):
            raise
        what = f"{type(error).__name__}: {error}".partition("\n")[0]
        say_failure(
            Failure(f"unforeseen: {what}", f"tell us, with what {TRACE}=1 shows"), as_json="--json" in arguments
        )
        return int(Exit.FAILED)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(Exit.FAILED)
    return int(Exit.OK)


def _say_version(wanted: bool) -> None:
    if wanted:
        print(f"voicefleet {version('voicefleet')}")
        raise typer.Exit


@app.callback()
def _voicefleet(
    _version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    """Real-time voice AI on Kubernetes, or on one machine."""


@app.command()
def up(
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            "-f",
            help="The fleet, as for kubectl; without it voicefleet.yaml here, or else the smallest fleet.",
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where clients call; 0 for a free one.")] = Port.SIGNALING,
    ready_file: Annotated[
        Path | None, typer.Option(help="Write JSON here when all is ready: base URL, API key, relays, processes.")
    ] = None,
    agent: Annotated[
        str,
        typer.Option(
            metavar="FILE.py:CLASS", help="A Python agent of yours, instead of the file's; followed as it changes."
        ),
    ] = "",
    agent_python: Annotated[
        Path | None, typer.Option(help="A Python with its packages, such as that of a virtual environment.")
    ] = None,
    lan: Annotated[bool, typer.Option("--lan", help="For phones on this network: https, and a QR code.")] = False,
    lan_address: Annotated[str, typer.Option(help="Which address of this machine, if it has several.")] = "",
) -> None:
    """Run a fleet on this machine, and follow its file; Ctrl-C ends it."""
    from voicefleet.cli.local.nursery import nursery

    with nursery() as loading:  # before the next import, which takes half a second
        from voicefleet.cli.local.up import UpOptions, up

        if file is None and FILE_NAME.exists():
            file = FILE_NAME
        up(UpOptions(file, port, ready_file, lan or bool(lan_address), lan_address, agent, agent_python), loading)


@app.command()
@about_a_cluster
def check(
    which: Target,
    file: Annotated[Path, typer.Argument(help="The fleet's file; - for standard input.")],
    as_json: AsJson = False,
) -> None:
    """Say what a cluster would refuse in a file, with line and column, and what it would change in the one named."""
    from voicefleet.cli.check import check

    check(which, file, as_json=as_json)


@app.command()
@about_a_fleet
def status(
    which: Target,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Keep it on the screen, and up to date.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show pools and shards: calls, capacity, set-up time, loss."""
    from voicefleet.cli.status import status

    status(which, watch=watch, as_json=as_json)


@app.command()
@about_a_fleet
def calls(which: Target, as_json: AsJson = False) -> None:
    """List the live calls."""
    from voicefleet.cli.calls import calls

    calls(which, as_json=as_json)


@app.command()
@about_a_fleet
def call(
    which: Target, id: Annotated[str, typer.Argument(help="The call, as `calls` lists it.")], as_json: AsJson = False
) -> None:
    """Say where a call runs, what its set-up took, and how it is now."""
    from voicefleet.cli.calls import call

    call(which, id, as_json=as_json)


@app.command()
@about_a_fleet
def trace(
    which: Target,
    address: Annotated[str, typer.Argument(help="A client's IP address.")],
    place: Annotated[str, typer.Option(metavar="LAT,LONG", help="Suppose that the client is there.")] = "",
    as_json: AsJson = False,
) -> None:
    """Say where calls of an address would go, and why."""
    from voicefleet.cli.trace import trace

    trace(which, address, place, as_json=as_json)


@app.command()
@about_a_fleet
def doctor(
    which: Target,
    kernel: Annotated[bool, typer.Option("--kernel", help="Also whether the kernel tier is possible here.")] = False,
    as_json: AsJson = False,
) -> None:
    """Find what is wrong with a fleet, and say how to mend it."""
    from voicefleet.cli.doctor.run import doctor

    doctor(which, kernel=kernel, as_json=as_json)


@app.command()
@about_a_fleet_with_n
def load(
    which: Target,
    calls: Annotated[int, typer.Option("--calls", "-n", min=1, max=10_000, help="How many calls at a time.")] = 10,
    ramp: Annotated[float | None, typer.Option(min=0, help="Seconds in which they start; 0.1 for each.")] = None,
    duration: Annotated[float, typer.Option(min=1, help="Seconds that they last then.")] = 10.0,
    api_key: Annotated[str, typer.Option(envvar="VOICEFLEET_LOAD_API_KEY", help="For --url.")] = "",
    max_failed: Annotated[int, typer.Option(min=0, help="Calls that may fail.")] = 0,
    max_loss: Annotated[float | None, typer.Option(min=0, help="Percent of frames that may be lost.")] = 1.0,
    max_setup: Annotated[float | None, typer.Option(min=0, help="Milliseconds of set-up, p99.")] = None,
    max_rtt: Annotated[float | None, typer.Option(min=0, help="Milliseconds of a round trip, p99.")] = None,
    max_gap: Annotated[float | None, typer.Option(min=0, help="Milliseconds between packets, p99.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make real calls, and measure set-up, round trips, loss and gaps; fails beyond the limits that are given."""
    from voicefleet.cli.load.door import door
    from voicefleet.cli.load.figures import Limits
    from voicefleet.cli.load.run import Plan, load

    limits = Limits(max_failed, max_loss, max_setup, max_rtt, max_gap)
    plan = Plan(calls, calls * 0.1 if ramp is None else ramp, duration, limits)
    load(door(which, api_key), plan, as_json=as_json)


@app.command()
@about_a_fleet
def bench(
    which: Target,
    most: Annotated[int, typer.Option(min=1, max=10_000, help="Calls of the last step.")] = 160,
    duration: Annotated[float, typer.Option(min=1, help="Seconds that the calls of a step last.")] = 5.0,
    api_key: Annotated[str, typer.Option(envvar="VOICEFLEET_LOAD_API_KEY", help="For --url.")] = "",
    max_loss: Annotated[float, typer.Option(min=0, help="Percent of frames that may be lost.")] = 0.1,
    max_gap: Annotated[float, typer.Option(min=0, help="Milliseconds between packets, p99.")] = 40.0,
    as_json: AsJson = False,
) -> None:
    """Find how many calls a fleet holds: twice as many in each step, until a limit is passed."""
    from voicefleet.cli.load.bench import bench
    from voicefleet.cli.load.door import door
    from voicefleet.cli.load.figures import Limits

    limits = Limits(0, max_loss, None, None, max_gap)
    bench(door(which, api_key), most, duration, limits, as_json=as_json)


@app.command()
@about_a_fleet
def drain(
    which: Target,
    name: Annotated[str, typer.Argument(help="A relay or transceiver, as `status --json` and the directory name it.")],
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for its calls to end; 0 does not wait.")] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Have a relay or transceiver take no more calls, and replace it when those that it has have ended."""
    from voicefleet.cli.drain import drain

    drain(which, name, wait=wait, as_json=as_json)


@app.command()
def relay() -> None:
    """Run a relay, as a pod does: by its environment."""
    from voicefleet.cli.service import become

    become("voicefleet.services.relay")


@app.command()
def transceiver() -> None:
    """Run a transceiver, as a pod does: by its environment."""
    from voicefleet.cli.service import become

    become("voicefleet.services.transceiver")


@app.command()
def signaling() -> None:
    """Run signaling, as a pod does: by its environment."""
    from voicefleet.cli.service import become

    become("voicefleet.services.signaling")


@app.command()
def operator() -> None:
    """Run the operator, as a pod does: by its environment."""
    from voicefleet.cli.service import become

    become("voicefleet_operator")
