"""The application's API keys: a table of hashes, read from a directory as Kubernetes mounts a Secret.

Each file is one key: its name is the key's name (it stands in the audit log and is what limits count), its content the
key itself or, better, `sha256:` and the hash of it in hex. Only hashes are kept. A key has enough randomness of its own
that a plain hash is no weakness; `ek_` is reserved for ephemeral secrets.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MIN_LENGTH: Final = 16
_HASH: Final = re.compile(r"sha256:([0-9a-f]{64})")


class ApiKeysError(ValueError):
    """A key file that cannot be used; says which and why, never what is in it."""


@dataclass(frozen=True, slots=True)
class ApiKeys:
    """Hash of a key -> name of the key."""

    names: Mapping[bytes, str]

    def owner(self, presented: str) -> str | None:
        """The name of the presented key, if it is one. It is looked up by its hash, so timing tells nothing of it."""
        return self.names.get(hashlib.sha256(presented.encode()).digest())


def read_api_keys(directory: Path) -> ApiKeys:
    """All keys of a mounted Secret; one unusable file refuses the whole, so that a slip cannot pass silently."""
    names: dict[bytes, str] = {}
    try:
        files = sorted(path for path in directory.iterdir() if not path.name.startswith(".") and path.is_file())
    except OSError as error:
        raise ApiKeysError(f"{directory}: {error.strerror}") from None
    for path in files:
        text = path.read_text(errors="replace").strip()
        if match := _HASH.fullmatch(text):
            digest = bytes.fromhex(match[1])
        elif text.startswith(("ek_", "sha256:")) or len(text) < MIN_LENGTH or not text.isascii() or " " in text:
            raise ApiKeysError(
                f"{path}: not an API key; allowed: {MIN_LENGTH} or more ASCII characters without spaces, not beginning "
                "with ek_, or sha256:<64 hex digits>"
            )
        else:
            digest = hashlib.sha256(text.encode()).digest()
        if digest in names:
            raise ApiKeysError(f"{path}: the same key as {names[digest]}")
        names[digest] = path.name
    return ApiKeys(names)
