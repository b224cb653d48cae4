"""Calls through one relay on loopback, and what they say while something happens to it."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Self

from tests.support.echo_peer import EchoPeer, echo_peer
from tests.support.facts import eventually
from tests.support.ice_client import IceClient, ice_client
from tests.support.relay_process import RelayProcess, relay_process
from voicefleet.wire.keyring import KeyRing

_AT_ONCE = 10


@asynccontextmanager
async def relayed_calls(
    directory: Path, ring: KeyRing, count: int, **settings: str
) -> AsyncIterator[tuple[EchoPeer, RelayProcess, list[IceClient]]]:
    """So many calls with one transceiver, each with media that came back."""
    async with AsyncExitStack() as stack:
        peer = await stack.enter_async_context(echo_peer(ring))
        relay = await stack.enter_async_context(relay_process(directory, ring, namespace=None, **settings))
        clients = [
            await stack.enter_async_context(ice_client(relay.address, peer.new_call(), ring, ssrc=number + 1))
            for number in range(count)
        ]
        for first in range(0, count, _AT_ONCE):
            await asyncio.gather(*map(_begin, clients[first : first + _AT_ONCE]))
        yield peer, relay, clients


@asynccontextmanager
async def relayed_call(
    directory: Path, ring: KeyRing, **settings: str
) -> AsyncIterator[tuple[EchoPeer, RelayProcess, IceClient]]:
    """One of them."""
    async with relayed_calls(directory, ring, 1, **settings) as (peer, relay, (client,)):
        yield peer, relay, client


async def _begin(client: IceClient) -> None:
    await client.check()
    await client.talks()


class Speech:
    """What calls say from now on: a packet each in every `pause` seconds, evenly spread, and perhaps checks."""

    def __init__(self, clients: Sequence[IceClient], pause: float, checks: float | None = None) -> None:
        self._clients = clients
        self._pause = pause
        self._checks = checks
        self.checked: dict[IceClient, list[tuple[float, bytes]]] = {client: [] for client in clients}
        """When each call sent a check, and its transaction."""

    async def __aenter__(self) -> Self:
        self._speaking = asyncio.ensure_future(self._speak())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._speaking.cancel()
        await asyncio.gather(self._speaking, return_exceptions=True)

    async def everybody_hears(self) -> None:
        """Wait until each call hears what it says."""
        since = time.monotonic()
        await eventually(lambda: all(client.heard_since(since) for client in self._clients), "every call hears itself")

    async def _speak(self) -> None:
        loop = asyncio.get_running_loop()
        began = due = loop.time()
        next_check = {
            client: began + at / len(self._clients) * (self._checks or 0.0) for at, client in enumerate(self._clients)
        }
        while True:
            for client in self._clients:
                due += self._pause / len(self._clients)
                await asyncio.sleep(max(0.0, due - loop.time()))
                if self._checks is not None and loop.time() >= next_check[client]:
                    next_check[client] += self._checks
                    request = client.request()
                    self.checked[client].append((time.monotonic(), request[8:20]))
                    client.send(request)
                client.media()
