"""A drawing of figures as SVG, and as the PNG that Chromium makes of it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def draw(drawing: Callable[[dict[str, Any]], str], width: int, height: int) -> None:
    """Both pictures, beside the JSON that the command line names."""
    source = Path(sys.argv[1]).resolve()
    picture = source.with_suffix(".svg")
    picture.write_text(drawing(json.loads(source.read_text())))
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("no PNG: chromium is not installed")
    subprocess.run(
        [
            *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *(f"--window-size={width},{height}", f"--screenshot={source.with_suffix('.png')}", picture.as_uri()),
        ],
        check=True,
        capture_output=True,
    )
