"""The OpenAPI document against the code that it was made from: schemathesis asks for what it allows, and for more."""

import asyncio
import hashlib
import os
import sys
from pathlib import Path

import pytest

from tests.support.facts import DEADLINE
from tests.support.signaling import signaling
from voicefleet.services.signaling.api_keys import ApiKeys

ROOT = Path(__file__).parents[3]
KEY = "vf-a-key-of-the-test"
KEYS = ApiKeys({hashlib.sha256(KEY.encode()).digest(): "operator"})
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "ignored_auth",
)


async def test_the_document_names_every_path_that_is_served() -> None:
    async with signaling(KEYS) as fleet:
        answer = await fleet.http.get("/openapi.json")
        shown = await answer.json()
        assert answer.status == 200 and shown["openapi"] == "3.1.0"
        assert {path: sorted(methods) for path, methods in shown["paths"].items()} == {
            "/": ["get"],
            "/console/{part}": ["get"],
            "/v1/realtime": ["get", "post"],
            "/v1/realtime/calls": ["post"],
            "/v1/realtime/calls/{call_id}/hangup": ["post"],
            "/v1/realtime/client_secrets": ["post"],
            "/v1/relays": ["get"],
            "/v1/steering/explain": ["post"],
            "/v1/fleet": ["get"],
            "/v1/fleet/calls": ["get"],
            "/v1/fleet/calls/{id}": ["get"],
            "/v1/fleet/transceivers/{id}/drain": ["post"],
            "/whip": ["options", "post"],
            "/whip/{call_id}": ["delete", "options", "patch"],
        }


@pytest.mark.timeout(600)
async def test_nothing_that_the_document_allows_or_forbids_makes_signaling_fail_or_answer_otherwise(
    tmp_path: Path,
) -> None:
    async with signaling(KEYS, (10_000,)) as fleet:
        program = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("schemathesis")),
            *("run", f"http://127.0.0.1:{fleet.port}/openapi.json", "--checks", ",".join(CHECKS)),
            *("--header", f"Authorization: Bearer {KEY}", "--max-examples", "25", "--generation-deterministic"),
            *("--phases", "examples,coverage,fuzzing", "--suppress-health-check", "all", "--no-color"),
            *("--request-timeout", "60"),
            cwd=tmp_path,
            env=os.environ | {"SCHEMATHESIS_HOOKS": "tests.support.sdp_for_schemathesis", "PYTHONPATH": str(ROOT)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await asyncio.wait_for(program.communicate(), 15 * DEADLINE)
        assert program.returncode == 0, said.decode()
