"""The process that agents come from: it imports the user's module once and forks for each call.

So a call's agent is there within milliseconds, shares the memory of what was imported, and can block, leak, raise or
exit as it likes: it is a process. Started as `python -m`, with a descriptor and `module:Class`; each message on the
descriptor brings the socket of a call. What the module prints or logs goes to the pod's log.

A module must not start threads when it is imported: they would not be there in the forked processes.
"""

import asyncio
import contextlib
import gc
import importlib
import json
import os
import resource
import select
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Final, NoReturn

from voicefleet.agents.python.agent import VoiceAgent
from voicefleet.agents.python.serving import ServedCall
from voicefleet.net.child_process import die_with_parent
from voicefleet.net.descriptor_channel import Closed, DescriptorChannel

FAILED: Final = 3
"""Exit status of an agent that raised."""


class NoAgent(Exception):
    """The class is not there, or is no agent."""


def find(name: str) -> type[VoiceAgent]:
    """The class that `module:Class` names; raises `NoAgent`."""
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise NoAgent(f"{name}: {error}") from error
    if not (isinstance(found, type) and issubclass(found, VoiceAgent)):
        raise NoAgent(f"{name} is no class that is made from VoiceAgent")
    return found


def main(descriptor: str, name: str, memory: str) -> NoReturn:
    """Fork for each call until the worker is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries them; the worker sees a closed socket
    channel = DescriptorChannel(socket.socket(fileno=int(descriptor)))
    try:
        agent = find(name)
    except NoAgent as error:
        channel.send(json.dumps({"problem": str(error)}).encode())
        sys.exit(str(error))
    gc.collect()
    gc.freeze()
    channel.send(json.dumps({"rate": agent.rate}).encode())
    poll = select.poll()
    poll.register(channel.fileno(), select.POLLIN)
    while True:
        poll.poll()
        try:
            received = channel.receive()
        except Closed:
            with contextlib.suppress(ChildProcessError):
                os.wait()  # until the last call of this code has ended: children are buried unseen
            sys.exit(0)
        for end in received.sockets if received is not None else ():
            if os.fork() == 0:
                channel.close()
                _serve(end, agent, int(memory))
            end.close()


def _serve(end: socket.socket, agent: type[VoiceAgent], memory: int) -> NoReturn:
    die_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if memory:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
    status = 0
    try:
        asyncio.run(_run(end, agent))
    except BaseException:
        traceback.print_exc()
        status = FAILED
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


async def _run(end: socket.socket, agent: type[VoiceAgent]) -> None:
    await ServedCall(end, agent).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
