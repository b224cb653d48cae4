"""An image in the OCI layout, as one tar archive: what registries, containerd and skopeo read."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

CREATED: Final = "2026-01-01T00:00:00Z"
"""Always the same: equal content is an equal image."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A tar of files, uncompressed, named by its digest."""

    path: Path
    digest: str


@dataclass(frozen=True, slots=True)
class Image:
    """Layers, lowest first, and what is run on them."""

    layers: Sequence[Layer]
    architecture: str
    configuration: Mapping[str, object]
    """`config` of the image specification."""


def write(image: Image, name: str, target: IO[bytes]) -> str:
    """Write the archive; the image's digest."""
    configuration = _json(
        {
            "architecture": image.architecture,
            "os": "linux",
            "created": CREATED,
            "config": dict(image.configuration),
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{each.digest}" for each in image.layers]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": _descriptor("application/vnd.oci.image.config.v1+json", configuration),
            "layers": [
                {
                    "mediaType": "application/vnd.oci.image.layer.v1.tar",
                    "digest": f"sha256:{each.digest}",
                    "size": each.path.stat().st_size,
                }
                for each in image.layers
            ],
        }
    )
    described = _descriptor("application/vnd.oci.image.manifest.v1+json", manifest) | {
        "platform": {"architecture": image.architecture, "os": "linux"},
        "annotations": {
            "io.containerd.image.name": name,
            "org.opencontainers.image.ref.name": name.rpartition(":")[2],
        },
    }
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [described],
    }
    with tarfile.open(fileobj=target, mode="w|") as archive:
        _put(archive, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _put(archive, "index.json", _json(index))
        for blob in (configuration, manifest):
            _put(archive, f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}", blob)
        for layer in image.layers:
            entry = tarfile.TarInfo(f"blobs/sha256/{layer.digest}")
            entry.size = layer.path.stat().st_size
            with layer.path.open("rb") as content:
                archive.addfile(entry, content)
    return hashlib.sha256(manifest).hexdigest()


def _descriptor(media_type: str, blob: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{hashlib.sha256(blob).hexdigest()}", "size": len(blob)}


def _json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True).encode()


def _put(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
