"""The process that a local fleet's services come from: it imports them once, and forks for each that is to run.

To load a service is most of its start, and most of it is the same for each: one import and as many forks take half the
time and share the memory. Started as `python -m` with a descriptor and the services; each line of JSON there is a
request, answered in turn by a line. What it has forked ends with it.

It has no thread and no event loop: neither would be whole in what it forks.
"""

import gc
import json
import os
import socket
import sys
from importlib import import_module
from typing import Any

from voicefleet.net.child_process import be_called, die_with_parent


def main() -> None:
    """Load, and serve; in a forked process, go on as the service."""
    end = socket.socket(fileno=int(sys.argv[1]))
    gc.disable()  # nothing is garbage yet, and to look costs a tenth of the time
    for module in sys.argv[2:]:
        _load(module)
    gc.freeze()
    gc.enable()
    told = _serve(end)
    if told is not None:
        _become(told)


def _load(module: str) -> None:
    """What is wrong with it is told later, where there is a log."""
    try:
        import_module(f"{module}.__main__")
    except Exception:
        return


def _serve(end: socket.socket) -> dict[str, Any] | None:
    """Answer until nobody asks any more; returns what to become in a forked process, and None in this one."""
    statuses: dict[int, int] = {}
    with end, end.makefile("rwb", buffering=0) as lines:
        ours = os.getpid()
        while line := lines.readline():
            told = json.loads(line)
            if "bury" in told:
                pid = told["bury"]
                if pid not in statuses:
                    statuses[pid] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                answer = {"status": statuses[pid]}
            elif pid := os.fork():
                statuses.pop(pid, None)
                answer = {"pid": pid}
            else:
                die_with_parent()
                if os.getppid() != ours:
                    os._exit(1)
                return dict(told)
            lines.write(json.dumps(answer).encode() + b"\n")
    return None


def _become(told: dict[str, Any]) -> None:
    os.setsid()
    be_called(told["name"])
    log = os.open(told["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for target in (1, 2):
        os.dup2(log, target)
    os.close(log)
    os.environ.update(told["environment"])
    program = f"{told['module']}.__main__"
    sys.argv = [program]
    import_module(program).main()


if __name__ == "__main__":
    main()
