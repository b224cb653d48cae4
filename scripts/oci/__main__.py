"""`scripts/image`, once there is an environment."""

import argparse
import sys
from importlib.metadata import version
from pathlib import Path

from scripts.oci.archive import write
from scripts.oci.layers import NotMade
from scripts.oci.product import product_image


def main() -> int:
    """Make the image and write it where the command line says."""
    parser = argparse.ArgumentParser(prog="scripts/image", description="Make the product's image as an OCI archive.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--name", default=f"voicefleet.dev/voicefleet:{version('voicefleet')}", help="%(default)s")
    chosen = parser.parse_args()
    try:
        image = product_image()
    except NotMade as reason:
        print(f"scripts/image: {reason}", file=sys.stderr)
        return 1
    with chosen.file.open("wb") as target:
        digest = write(image, chosen.name, target)
    sizes = " + ".join(f"{each.path.stat().st_size / 1e6:.0f}" for each in image.layers)
    print(f"{chosen.name} sha256:{digest} in {chosen.file}: {sizes} MB (system, dependencies, voicefleet)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
