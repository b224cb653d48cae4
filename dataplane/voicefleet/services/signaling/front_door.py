"""Where clients connect: the HTTP server's own limits, and the PROXY protocol in front of it where proxies speak it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from aiohttp import web

from voicefleet.core.forwarded import Network
from voicefleet.net.proxy_protocol import ProxiedProtocol

SILENCE: Final = 20.0
"""Seconds after which a connection is closed on which no request is under way, or never was one."""
BACKLOG: Final = 1024
SHUTDOWN: Final = 5.0
"""Seconds for requests under way when the process ends."""


def https(directory: Path) -> ssl.SSLContext:
    """The certificate that clients see."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(directory / "tls.crt", directory / "tls.key")
    return context


@asynccontextmanager
async def front_door(
    app: web.Application,
    host: str,
    port: int,
    *,
    proxies: Sequence[Network] = (),
    silence: float = SILENCE,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[int]:
    """Answers clients while the context lasts; gives the port. Connections of `proxies` begin with a PROXY header."""
    runner = web.AppRunner(
        app, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN, keepalive_timeout=silence
    )
    await runner.setup()
    http = runner.server
    assert http is not None, "set up"

    def connection() -> asyncio.BaseProtocol:
        return ProxiedProtocol(http, proxies, silence) if proxies else http()

    server = await asyncio.get_running_loop().create_server(connection, host, port, backlog=BACKLOG, ssl=tls)
    try:
        bound: int = server.sockets[0].getsockname()[1]
        yield bound
    finally:
        server.close()
        await runner.cleanup()
