"""Images of one program each, for what a cluster itself runs as pods."""

import hashlib
import platform
import tarfile
from functools import partial
from pathlib import Path
from typing import Final

from scripts.oci.archive import Image, Layer, write
from scripts.oci.product import ARCHITECTURES
from tests.support.kubernetes.node_files import COREDNS, PAUSE
from tests.support.kubernetes.one_node import OneNode

USER: Final = "65532:65532"


def load_cluster_images(cluster: OneNode, pause: Path, coredns: Path) -> None:
    """Put what every pod stands on, and the DNS, into the node."""
    cluster.load(partial(write, _image(cluster.folder, pause, USER), PAUSE))
    cluster.load(partial(write, _image(cluster.folder, coredns, "0:0"), COREDNS))


def _image(folder: Path, program: Path, user: str) -> Image:
    path = folder / f"{program.name}.layer"
    with tarfile.open(path, "w") as archive:
        archive.add(program, program.name)
    with path.open("rb") as content:
        layer = Layer(path, hashlib.file_digest(content, "sha256").hexdigest())
    return Image((layer,), ARCHITECTURES[platform.machine()], {"Entrypoint": [f"/{program.name}"], "User": user})
