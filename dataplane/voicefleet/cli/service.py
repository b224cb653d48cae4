"""One of the product's processes in place of this one: what the image's entry point is asked for."""

import os
import sys


def become(module: str) -> None:
    """Run a module as `python -m` would, under this process's id, so that it gets the signals."""
    os.execv(sys.executable, (sys.executable, "-m", module))
