"""Interpreters that load a service while `voicefleet up` still reads its file, and become it once they are told how.

Loading is most of a start, and needs to know nothing. How to go on comes by standard input, in one line; an interpreter
whose input ends without a word ends too. One that died meanwhile is not missed: the service is started without it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Final

from voicefleet.contract import Component
from voicefleet.net.child_process import die_with_parent

SERVICES: Final = tuple(
    f"voicefleet.services.{each}" for each in (Component.TRANSCEIVER, Component.RELAY, Component.SIGNALING)
)
"""The one first that takes longest: it starts workers of its own."""


class Early:
    """One waiting interpreter for each service."""

    def __init__(self, waiting: dict[str, subprocess.Popen[bytes]]) -> None:
        self._waiting = waiting

    def become(self, module: str, environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes] | None:
        """Let the one that has loaded this service go on as it, if there is one."""
        process = self._waiting.pop(module, None)
        if process is None:
            return None
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps({"environment": dict(environment), "log": str(log)}).encode() + b"\n")
            process.stdin.close()
        except BrokenPipeError:
            process.wait()
            return None
        return process

    def end(self) -> None:
        """End those that nobody needed."""
        for process in self._waiting.values():
            process.kill()
            process.wait()


@contextmanager
def early(modules: Sequence[str] = SERVICES) -> Iterator[Early]:
    """They load from now on."""
    made = Early({module: _start(module) for module in modules})
    try:
        yield made
    finally:
        made.end()


def _start(module: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", __name__, module],
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=die_with_parent,
    )


def main() -> None:
    """Load, wait, go on as the service."""
    name = f"{sys.argv[1]}.__main__"
    service = _loaded(name)
    line = sys.stdin.buffer.readline()
    if not line:
        return
    told = json.loads(line)
    log = os.open(told["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(log)
    os.close(nothing)
    os.environ.update(told["environment"])
    sys.argv = [name]
    (service or import_module(name)).main()


def _loaded(name: str) -> ModuleType | None:
    """The module; what is wrong with it is told later, where there is a log."""
    try:
        return import_module(name)
    except Exception:
        return None


if __name__ == "__main__":
    main()
