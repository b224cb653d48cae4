"""What somebody probably meant who wrote a name that is not known."""

import difflib
from collections.abc import Iterable


def near_miss(name: str, known: Iterable[str]) -> str:
    """The known name that was probably meant, or nothing."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.75)), "")
