"""The `voicefleet` command as a shell runs it."""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.facts import DEADLINE


async def run(
    *arguments: str, program: str = "voicefleet", before: Sequence[str] = (), **environment: str
) -> tuple[int, str]:
    """A command that ends by itself: its status, and all that it said. `before` begins the command line."""
    command = await asyncio.create_subprocess_exec(
        *before,
        str(Path(sys.executable).with_name(program)),
        *arguments,
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(command.communicate(), 2 * DEADLINE)
    assert command.returncode is not None
    return command.returncode, output.decode()
