"""`voicefleet up --agent`: a class of the user's answers, and one that is not there is told in a sentence."""

import asyncio
from pathlib import Path

import yaml

from tests.support.aiortc_caller import aiortc_caller
from tests.support.facts import eventually
from tests.support.local_fleet import local_fleet
from tests.support.python_agents import EXAMPLES
from tests.support.tone import hush
from tests.support.voicefleet_command import run
from voicefleet_operator.api.kinds import API_VERSION


async def test_somebody_calls_an_agent_of_their_own(tmp_path: Path) -> None:
    async with (
        local_fleet(tmp_path, options=(f"--agent={EXAMPLES / 'tone.py'}:Tone",)) as fleet,
        aiortc_caller() as caller,
    ):
        caller.says = hush  # so that nobody but the agent can be the one who hums
        await fleet.call(caller)
        await caller.hears_its_tone()


async def test_an_agent_whose_code_is_a_config_map_of_the_file_answers(tmp_path: Path) -> None:
    parts = [
        {
            "apiVersion": API_VERSION,
            "kind": "VoiceFleet",
            "metadata": {"name": "demo"},
            "spec": {
                "agent": {
                    "type": "Python",
                    "python": {"entrypoint": "tone:Tone", "configMapRef": {"name": "code"}},
                }
            },
        },
        *(
            {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": "main"}, "spec": {"fleetRef": "demo"}}
            for kind in ("RelayPool", "TransceiverShard")
        ),
    ]
    code = {"tone.py": (EXAMPLES / "tone.py").read_text()}
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "code"}, "data": code}
    file = tmp_path / "fleet.yaml"
    file.write_text(yaml.safe_dump_all([*parts, config_map]))
    async with local_fleet(tmp_path, file=file) as fleet, aiortc_caller() as caller:
        caller.says = hush
        await fleet.call(caller)
        await caller.hears_its_tone()
        file.write_text(yaml.safe_dump_all(parts))
        told = "the ConfigMap code is not in the file; add what kubectl create configmap code"
        await eventually(lambda: any(told in line for line in fleet.output), "the user is told what is missing")


async def test_an_agent_that_is_not_there_is_told_in_a_sentence() -> None:
    tone = f"{EXAMPLES / 'tone.py'}:Tone"
    tries = (("no.py:Agent",), ("tone.py",), (tone, "--agent-python=no/python"))
    said = await asyncio.gather(*(run("up", "--port=0", f"--agent={name}", *more) for name, *more in tries))
    assert [code for code, _ in said] == [3, 2, 3]
    assert "no/python is no program" in said[2][1]
    assert "there is no file no.py" in said[0][1] and "no FILE.py:CLASS" in said[1][1]
