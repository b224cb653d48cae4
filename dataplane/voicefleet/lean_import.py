"""Importing a library without another one that it would bring along wherever that is installed.

A fleet on a laptop starts six processes, and each of them pays for what is imported.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast


@contextmanager
def without(needless: str) -> Iterator[None]:
    """What is imported in this block does not find the needless package; nothing changes where it is loaded."""
    if needless in sys.modules:
        yield
        return
    modules = cast(dict[str, object], sys.modules)
    modules[needless] = None
    try:
        yield
    finally:
        del modules[needless]
