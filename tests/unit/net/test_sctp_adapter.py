"""What the adapter relies on inside of aiortc, so that a new version that changes it fails here and says what."""

import ast
import asyncio
import inspect
import re
import textwrap
from pathlib import Path

from aiortc.rtcsctptransport import RTCSctpTransport

import voicefleet
from tests.support.facts import eventually
from voicefleet.net.sctp_adapter import SctpAssociation, Sent

OF_ITS_TRANSPORT = {"state", "_role", "_register_data_receiver", "_unregister_data_receiver", "_send_data"}


def test_aiortcs_sctp_asks_nothing_else_of_its_transport() -> None:
    tree = ast.parse(textwrap.dedent(inspect.getsource(RTCSctpTransport)))
    asked = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and (
            (isinstance(node.value, ast.Attribute) and node.value.attr in ("__transport", "transport"))
            or (isinstance(node.value, ast.Name) and node.value.id == "transport")
        )
    }
    assert asked == OF_ITS_TRANSPORT


def test_packets_go_in_by_the_method_that_is_named() -> None:
    assert inspect.iscoroutinefunction(RTCSctpTransport._handle_data)
    assert list(inspect.signature(RTCSctpTransport._handle_data).parameters) == ["self", "data"]


def test_only_the_adapter_imports_aiortc() -> None:
    package = Path(voicefleet.__file__).parent
    importers = {
        path.name
        for path in package.rglob("*.py")
        if re.search(r"^(from|import) aiortc", path.read_text(), re.MULTILINE)
    }
    assert importers == {"sctp_adapter.py"}


async def test_two_adapters_back_to_back_carry_text_and_octets_on_a_negotiated_channel() -> None:
    heard: dict[str, list[tuple[str, str | bytes]]] = {"left": [], "right": []}
    inbox: dict[str, asyncio.Queue[bytes]] = {"left": asyncio.Queue(), "right": asyncio.Queue()}
    left = SctpAssociation(
        inbox["right"].put_nowait, lambda *message: heard["left"].append(message), lambda _label: None
    )
    right = SctpAssociation(
        inbox["left"].put_nowait, lambda *message: heard["right"].append(message), lambda _label: None
    )

    async def run(name: str, channels: SctpAssociation) -> None:
        await channels.start(5000, 65536)
        while True:
            await channels.on_packet(await inbox[name].get())

    tasks = [asyncio.ensure_future(run("left", left)), asyncio.ensure_future(run("right", right))]
    try:
        for side in (left, right):
            side.open_negotiated("events", 4)
        await eventually(lambda: left.send("events", "hello") is Sent.SENT, "the channel is open")
        await eventually(lambda: right.send("events", b"\0\1") is Sent.SENT, "the channel is open on the other side")
        await eventually(lambda: bool(heard["left"] and heard["right"]), "both have heard")
        assert heard == {"left": [("events", b"\0\1")], "right": [("events", "hello")]}
        assert left.send("nothing", "x") is Sent.NOT_OPEN
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(left.stop(), right.stop())
