"""Runs a test in a network of its own: a thread that leaves the machine's, with one interface and one address.

A thread's network goes with it, and what it starts inherits it; so there is no name to choose and nothing to remove.
"""

import asyncio
import ctypes
import os
import subprocess
import threading
from collections.abc import Awaitable, Callable

ADDRESS = "198.51.100.1"
_CLONE_NEWNET = 0x40000000


def in_own_network(test: Callable[[], Awaitable[None]]) -> None:
    """Run this to its end there; what it raises is raised here."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            for command in (
                "link set lo up",
                "link add own type veth peer name other",
                "link set other up",
                f"address add {ADDRESS}/24 dev own",
                "link set own up",
            ):
                subprocess.run(["ip", *command.split()], check=True)
            asyncio.run(_awaited(test))
        except BaseException as error:  # it belongs to the test's own thread
            raised.append(error)

    thread = threading.Thread(target=run, name="own network")
    thread.start()
    thread.join()
    if raised:
        raise raised[0]


async def _awaited(test: Callable[[], Awaitable[None]]) -> None:
    await test()
