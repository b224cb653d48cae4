"""A port that somebody else takes between its choice and its use costs another try, and not the fleet."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from voicefleet.cli.local.fleet import RACES, LocalFleet
from voicefleet.cli.local.key_material import make_key_material
from voicefleet.cli.local.processes import Process, StartError, Supervisor
from voicefleet.cli.local.reconcile import Group
from voicefleet.cli.local.seats import Seats
from voicefleet.contract import Component, Env

RELAY = Group("edge", Component.RELAY, 1, {})


class Unlucky:
    """A supervisor whose first processes find their ports taken."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.listened: list[str] = []

    async def run(self, process: Process, on_ready: Callable[[], None]) -> None:
        self.listened.append(process.environment[Env.LISTEN])
        if len(self.listened) <= self.times:
            raise StartError("OSError: [Errno 98] error while attempting to bind: address already in use")
        on_ready()
        await asyncio.Event().wait()


async def start(directory: Path, unlucky: Unlucky) -> None:
    settled = asyncio.Event()

    async def flush() -> None:
        raise AssertionError("nobody asked for it")

    supervisor = cast(Supervisor, unlucky)
    material = make_key_material(directory, "demo")
    fleet = LocalFleet(material, Seats("127.0.0.1"), supervisor, {}, lambda _line: None, settled.set, flush)
    fleet.want([RELAY])
    running = asyncio.ensure_future(fleet.run())
    waiting = asyncio.ensure_future(settled.wait())
    await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED, timeout=30)
    waiting.cancel()
    running.cancel()
    await running


async def test_the_next_try_has_another_port(tmp_path: Path) -> None:
    unlucky = Unlucky(2)
    with pytest.raises(asyncio.CancelledError):
        await start(tmp_path, unlucky)
    assert len(unlucky.listened) == 3 and len(set(unlucky.listened)) == 3


async def test_it_is_not_tried_for_ever(tmp_path: Path) -> None:
    unlucky = Unlucky(1000)
    with pytest.raises(ExceptionGroup):
        await start(tmp_path, unlucky)
    assert len(unlucky.listened) == RACES + 1
