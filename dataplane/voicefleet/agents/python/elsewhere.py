"""The process that agents come from, by another Python than the worker's: with the packages of that one, and of ours
nothing but the sources of `voicefleet` itself, so that both ends of the socket are of one version.

Run as a script, so that the other Python needs no package of ours: only numpy, for the ear.
"""

import json
import socket
import sys
from collections.abc import Sequence
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Final

_PACKAGE: Final = "voicefleet"
_ABOVE: Final = str(Path(__file__).parents[3])


class Sources:
    """Finds `voicefleet` where this file is, before any that is installed; compiled parts of it are left alone, since
    they are of the worker's Python."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, _target: ModuleType | None = None) -> ModuleSpec | None:
        """See importlib.abc.MetaPathFinder."""
        if name.partition(".")[0] != _PACKAGE:
            return None
        for folder in path or (_ABOVE,):
            found = FileFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES)).find_spec(name)
            if found is not None:
                return found
        return None


def main(descriptor: str, name: str, memory: str) -> None:
    """As `nursery_process.main`; what the other Python lacks is told to the worker."""
    del sys.path[0]  # this folder, whose names are not for a user's imports
    sys.meta_path.insert(0, Sources)
    try:
        if sys.version_info < (3, 11):  # noqa: UP036 - of the other one nobody knows before
            raise ImportError(f"it is Python {sys.version.split()[0]}, and agents need 3.11 or newer")
        from voicefleet.agents.python import nursery_process
    except ImportError as error:
        problem = f"{sys.executable} can't run agents: {error}"
        with socket.socket(fileno=int(descriptor)) as door:
            door.send(json.dumps({"problem": problem}).encode())
        sys.exit(problem)
    nursery_process.main(descriptor, name, memory)


if __name__ == "__main__":
    main(*sys.argv[1:])
