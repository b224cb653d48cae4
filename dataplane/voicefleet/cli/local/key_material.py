"""What a local fleet's processes are given as files: key ring, certificate, an API key, and what stands in its file
as Secrets and ConfigMaps.

Keys and certificate are made anew at each start, in a directory that only the user can read; calls do not outlive
their fleet.
"""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from voicefleet.net.local_requests import LocalRequests
from voicefleet.wire.certificate import self_signed
from voicefleet.wire.keyring import KeyRing

CERTIFICATE_LIFE: Final = timedelta(days=30)


def requests_directory(directory: Path) -> Path:
    """Where others ask something of the fleet whose files are in this directory."""
    return directory / "requests"


@dataclass(frozen=True, slots=True)
class KeyMaterial:
    """Where everything is that is secret."""

    directory: Path
    api_key: str

    @property
    def key_file(self) -> Path:
        """The fleet's key ring."""
        return self.directory / "keys" / "keyring.json"

    @property
    def redis_url_file(self) -> Path:
        """Where the session map is."""
        return self.directory / "keys" / "redis-url"

    @property
    def certificate(self) -> Path:
        """The directory of the certificate for DTLS."""
        return self.directory / "certificate"

    @property
    def api_keys(self) -> Path:
        """The directory of API keys."""
        return self.directory / "api-keys"

    @property
    def requests_directory(self) -> Path:
        """Where others ask something of this fleet."""
        return requests_directory(self.directory)

    @property
    def requests(self) -> LocalRequests:
        """What they ask."""
        return LocalRequests(self.requests_directory)

    def write_redis_url(self, url: str) -> None:
        """Tell the processes where the session map is."""
        _write(self.redis_url_file, url.encode())

    def write_secret(self, name: str, key: str, value: bytes) -> Path:
        """A value of a Secret as a file; where it stands."""
        directory = self.directory / "secrets" / name
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(directory / key, value)
        return directory / key

    def write_config_map(self, name: str, files: Mapping[str, bytes]) -> Path:
        """A ConfigMap as a directory of files, as a pod has it; where it stands."""
        directory = self.directory / "config-maps" / name
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in directory.iterdir():
            if path.is_file() and path.name not in files:
                path.unlink()
        for file, content in files.items():
            if not (directory / file).exists() or (directory / file).read_bytes() != content:
                _write(directory / file, content)
        return directory

    def write_api_keys(self, keys: Mapping[str, bytes]) -> None:
        """The applications' keys of the fleet's file, beside our own."""
        for path in self.api_keys.iterdir():
            if path.name != "local" and path.name not in keys:
                path.unlink()
        for name, key in keys.items():
            _write(self.api_keys / name, key)


def make_key_material(directory: Path, fleet: str) -> KeyMaterial:
    """Make all of it in a directory that is ours alone."""
    now = time.time()
    material = KeyMaterial(directory, f"vf-{secrets.token_urlsafe(24)}")
    for path in (material.key_file.parent, material.certificate, material.api_keys):
        path.mkdir(mode=0o700, exist_ok=True)
    certificate, private = self_signed(now, CERTIFICATE_LIFE)
    _write(material.key_file, KeyRing.generate(fleet, now, secrets.token_bytes).dump())
    _write(material.certificate / "tls.crt", certificate)
    _write(material.certificate / "tls.key", private)
    _write(material.api_keys / "local", material.api_key.encode())
    return material


def _write(path: Path, content: bytes) -> None:
    """Readers see the whole file or none."""
    partial = path.with_name(f".{path.name}")
    partial.touch(mode=0o600)
    partial.write_bytes(content)
    partial.rename(path)
