"""One fuzz target in this process: `python -m tests.fuzz.target NAME [libFuzzer's arguments]`.

With files as arguments it runs those and stops, which is how a saved finding is looked at again.
"""

import shlex
import sys
from collections.abc import Callable

import atheris

from tests.fuzz import canary


def check(name: str) -> Callable[[bytes], None]:
    """The function to feed, with the decoders under instrumentation."""
    if name == canary.NAME:
        instrumented: Callable[[bytes], None] = atheris.instrument_func(canary.planted)
        return instrumented
    with atheris.instrument_imports(include=["voicefleet.wire", "voicefleet.core", "voicefleet.services"]):
        from tests.fuzz.targets import TARGETS
    return TARGETS[name]


def main() -> None:
    """Fuzz until libFuzzer's own arguments say to stop; the process ends in here."""
    name, arguments = sys.argv[1], sys.argv[2:]
    # libFuzzer starts itself again by argv[0] when it merges corpora.
    command = f"{shlex.quote(sys.executable)} -m tests.fuzz.target {name}"
    atheris.Setup([command, *arguments], check(name))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
