"""Two operators, one acts: another takes over when it dies, at once when it ends, and calls notice neither."""

import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest_asyncio

from tests.support.kubernetes.api_server import ApiServer
from tests.support.kubernetes.control_plane import ControlPlane
from tests.support.kubernetes.objects import Namespace
from tests.support.kubernetes.operator_process import OperatorProcess, operator_process


class Pair:
    """Two operators of one namespace, under one lease."""

    def __init__(self, voice: Namespace, operators: dict[str, OperatorProcess]) -> None:
        self.voice, self.operators = voice, operators

    def holder(self) -> str:
        """Who acts."""
        lease = Namespace(self.voice.plane, "default").get(f"lease/{self.voice.name}")
        return str((lease or {"spec": {}})["spec"].get("holderIdentity", ""))

    async def leader(self) -> OperatorProcess:
        """The one who acts, as soon as there is one."""
        name = await self.voice.until(lambda: self.holder() in self.operators and self.holder(), "one of them acts")
        return self.operators[name]

    async def makes(self, fleet: str, deadline: float = 60.0) -> None:
        """A new fleet is made: somebody acts."""
        self.voice.apply("VoiceFleet", fleet)
        await self.voice.until(lambda: self.voice.get(f"deploy/{fleet}-signaling"), f"{fleet} is made", deadline)


@pytest_asyncio.fixture
async def pair(apart: ApiServer, namespace_apart: str) -> AsyncIterator[Pair]:
    """Two operators for a namespace of their own."""
    async with _pair(apart, namespace_apart) as made:
        yield made


@asynccontextmanager
async def _pair(plane: ApiServer, namespace: str) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        names = [f"{namespace}-{which}" for which in ("a", "b")]
        started = {
            name: await stack.enter_async_context(operator_process(plane, name, [namespace], lease=namespace))
            for name in names
        }
        for each in started.values():
            await each.says("stands by")
        yield Pair(Namespace(plane, namespace), started)


async def test_when_the_one_that_acts_is_killed_another_takes_over(pair: Pair) -> None:
    await pair.makes("first")
    leader = await pair.leader()
    before = pair.holder()
    killed = time.monotonic()
    await leader.end(signal.SIGKILL)
    await pair.makes("second")
    print(f"another operator acted {time.monotonic() - killed:.1f} s after the first one was killed")
    assert pair.holder() != before


async def test_one_that_is_told_to_end_hands_over_at_once(pair: Pair) -> None:
    await pair.makes("first")
    leader = await pair.leader()
    before = pair.holder()
    assert await leader.end(signal.SIGTERM) == 0
    await pair.voice.until(lambda: pair.holder() not in ("", before), "the other one acts", 10.0)
    await pair.makes("second")


async def test_one_that_was_stopped_for_a_while_does_not_go_on_as_if_nothing_had_happened(pair: Pair) -> None:
    await pair.makes("first")
    leader = await pair.leader()
    before = pair.holder()
    leader.send(signal.SIGSTOP)
    try:
        await pair.voice.until(lambda: pair.holder() not in ("", before), "the other one acts", 60.0)
    finally:
        leader.send(signal.SIGCONT)
    await pair.voice.until(lambda: "no longer leads" in leader.log.read_text(), "it notices")
    await pair.makes("second")
    assert pair.holder() != before and leader.running


async def test_an_api_server_that_is_gone_for_a_while_is_survived(own_plane: ControlPlane) -> None:
    own_plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "voice"}})
    async with _pair(own_plane, "voice") as pair:
        await pair.makes("first")
        uid = (pair.voice.get("deploy/first-signaling") or {})["metadata"]["uid"]
        await own_plane.stop_api_server(signal.SIGKILL)
        await own_plane.start_api_server()
        await pair.makes("second")
        assert (pair.voice.get("deploy/first-signaling") or {})["metadata"]["uid"] == uid
        assert all(each.running for each in pair.operators.values())
