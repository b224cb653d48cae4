"""`voicefleet up --agent`: a class of the user's answers, and one that is not there is told in a sentence."""

import asyncio
from pathlib import Path

from tests.support.aiortc_caller import aiortc_caller
from tests.support.local_fleet import local_fleet
from tests.support.python_agents import EXAMPLES
from tests.support.tone import hush
from tests.support.voicefleet_command import run


async def test_somebody_calls_an_agent_of_their_own(tmp_path: Path) -> None:
    async with (
        local_fleet(tmp_path, options=(f"--agent={EXAMPLES / 'tone.py'}:Tone",)) as fleet,
        aiortc_caller() as caller,
    ):
        caller.says = hush  # so that nobody but the agent can be the one who hums
        await fleet.call(caller)
        await caller.hears_its_tone()


async def test_an_agent_that_is_not_there_is_told_in_a_sentence() -> None:
    tone = f"{EXAMPLES / 'tone.py'}:Tone"
    tries = (("no.py:Agent",), ("tone.py",), (tone, "--agent-python=no/python"))
    said = await asyncio.gather(*(run("up", "--port=0", f"--agent={name}", *more) for name, *more in tries))
    assert [code for code, _ in said] == [3, 2, 3]
    assert "no/python is no program" in said[2][1]
    assert "there is no file no.py" in said[0][1] and "no FILE.py:CLASS" in said[1][1]
