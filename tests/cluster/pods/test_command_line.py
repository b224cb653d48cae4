"""What operators ask of a fleet of real pods: by a kubeconfig, through the API server, with no tunnel of their own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.kubernetes.voice import EXAMPLE, PROJECT, Voice

IN_THE_NETHERLANDS = "193.0.6.139"
"""Of RIPE, since 1993."""


def ran(voice: Voice, program: str, *arguments: str) -> str:
    """A command from outside of the cluster, which must succeed; what it said."""
    command = (*voice.cluster.caller, str(Path(sys.executable).with_name(program)), *arguments)
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, timeout=180, check=False)
    assert done.returncode == 0, (done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout


def voicefleet(voice: Voice, *arguments: str) -> str:
    """The same about the fleet of the cluster, as kubectl's plugin."""
    where = (f"--kubeconfig={voice.cluster.kubeconfig}", f"--namespace={voice.namespace}")
    return ran(voice, "kubectl-voicefleet", *arguments, *where)


def told(voice: Voice, *arguments: str) -> Any:
    """The same as a program reads it."""
    return json.loads(voicefleet(voice, *arguments, "--json"))


def test_the_fleet_its_calls_and_one_of_them_are_seen_by_a_kubeconfig(voice: Voice) -> None:
    status = told(voice, "status")
    assert status["fleet"] == "demo" and status["sessionMap"] == "ok"
    assert status["pools"]["edge"]["addresses"] and status["shards"]["main"]["capacity"] > 0
    assert "main" in voicefleet(voice, "status")
    with voice.callers(2):
        voice.until(lambda: len(told(voice, "calls")["calls"]) == 2, "the calls of other tests are over")
        calls = told(voice, "calls")["calls"]
        assert {each["transceiver"] for each in calls} <= set(voice.pods("transceiver"))
        call = told(voice, "call", calls[0]["id"])
        assert call["record"]["first_audio_out"] > 0
        assert call["record"]["leg"]["measurements"]["uplink"]["packets"] > 0
        assert "first audio said" in voicefleet(voice, "call", calls[0]["id"])


def test_where_calls_would_go_is_explained(voice: Voice) -> None:
    explained = told(voice, "trace", "198.51.100.7")
    assert {each["id"] for each in explained["relays"]} <= set(voice.pods("relay"))
    assert set(explained["transceivers"]) <= set(voice.pods("transceiver"))


def test_the_database_in_the_image_knows_the_country_of_an_address(voice: Voice) -> None:
    explained = told(voice, "trace", IN_THE_NETHERLANDS)
    assert explained["place_source"] == "database"
    assert explained["explanation"][0] == "The client is at 52.4,4.9, says the geo database."
    assert told(voice, "trace", "198.51.100.7")["place_source"] == "unknown", "nobody's country"


def test_the_doctor_finds_a_fleet_that_serves_in_good_health(voice: Voice) -> None:
    findings = told(voice, "doctor")
    assert [each for each in findings if each["state"] == "bad"] == []
    assert any(each["about"].startswith("relay") and each["state"] == "good" for each in findings), findings


def test_load_finds_its_way_through_the_relays_by_a_kubeconfig(voice: Voice) -> None:
    figures = told(voice, "load", "--calls=5", "--duration=5")
    assert figures["calls"] == 5 and figures["failed"] == 0


def test_load_by_an_address_and_a_key_needs_no_rights_in_the_cluster(voice: Voice) -> None:
    way = (f"--url={voice.url}", f"--api-key={voice.key}")
    figures = json.loads(ran(voice, "voicefleet", "load", "--calls=1", "--ramp=0", "--duration=1", *way, "--json"))
    assert figures["calls"] == 1 and figures["failed"] == 0


def test_a_file_is_compared_with_what_the_cluster_has(voice: Voice, tmp_path: Path) -> None:
    assert "nothing would change" in voicefleet(voice, "check", str(EXAMPLE))
    changed = tmp_path / "fleet.yaml"
    changed.write_text(EXAMPLE.read_text() + "---\n" + ANOTHER)
    assert "TransceiverShard other: would be created" in voicefleet(voice, "check", str(changed))


ANOTHER = """apiVersion: voicefleet.dev/v1alpha1
kind: TransceiverShard
metadata: {name: other}
spec: {fleetRef: demo}
"""


def test_a_drained_transceiver_is_replaced(voice: Voice) -> None:
    before = voice.pods("transceiver")
    drained = told(voice, "drain", before[0])
    assert drained["kind"] == "transceiver" and drained["draining"]
    voice.until(lambda: before[0] not in voice.pods("transceiver"), "it goes")
    voice.until(lambda: len(voice.pods("transceiver")) == len(before), "another one takes its place")
    voice.wait_until_settled()
    assert before[0] not in told(voice, "trace", "198.51.100.7")["transceivers"]
