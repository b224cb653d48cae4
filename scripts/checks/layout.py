"""Files that must not be where they would do harm."""

from collections.abc import Iterator
from pathlib import Path


def findings(root: Path) -> Iterator[str]:
    """A package named `operator` would hide the standard library's module of that name."""
    if (root / "operator" / "__init__.py").exists():
        yield "operator/__init__.py: must not exist: it makes a package that hides the standard library's operator"
