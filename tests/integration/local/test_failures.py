"""Whatever goes wrong on the command line is one sentence with the next step, a documented status, and no traceback."""

import json
import socket
from pathlib import Path

import pytest

from tests.support.local_fleet import local_fleet
from tests.support.voicefleet_command import run

GOOD = "apiVersion: voicefleet.dev/v1alpha1\nkind: VoiceFleet\nmetadata: {name: demo}\n"
NOWHERE = {"KUBECONFIG": "/nonexistent", "HOME": "/nonexistent"}


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (None, 3, "does not exist; give the fleet's file with -f"),
        (b"\xff\xfe", 3, "cannot be read: it is not UTF-8 text"),
        (b"a: [", 3, "fleet.yaml:1:5: is not YAML: while parsing a flow node"),
        (
            GOOD.encode() + b"spec:\n  singaling: {}\n",
            3,
            "fleet.yaml:5:3: VoiceFleet demo spec.singaling is an unknown",
        ),
        (b"", 3, "fleet.yaml:1:1: there is no object in the file"),
        (b"\ta: b", 3, "fleet.yaml:1:1: is not YAML"),
        (b"a: \x00", 3, "fleet.yaml:1:1: is not YAML"),
        (GOOD.replace("Fleet", "Flet").encode(), 3, "fleet.yaml:2:1: kind is VoiceFlet; did you mean VoiceFleet?"),
    ],
    ids=["no file", "no text", "no YAML", "unknown field", "empty", "tab", "zero", "unknown kind"],
)
async def test_a_file_that_is_no_fleet(tmp_path: Path, content: bytes | None, code: int, words: str) -> None:
    file = tmp_path / "fleet.yaml"
    if content is not None:
        file.write_bytes(content)
    status, output = await run("up", "--port=0", "-f", str(file))
    assert status == code and words in output and "Traceback" not in output
    status, output = await run("check", str(file))
    assert status == code and "Traceback" not in output


async def test_what_is_no_text_on_standard_input_is_told_as_of_a_file() -> None:
    code, output = await run("check", "-", before=("sh", "-c", 'printf "\\377\\376" | "$@"', "-"))
    assert code == 3 and "- cannot be read: it is not UTF-8 text" in output


async def test_a_fleet_that_nobody_could_call_is_refused_at_once(tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(GOOD)
    code, output = await run("up", "--port=0", "-f", str(file))
    assert code == 3 and "has no RelayPool and no TransceiverShard with replicas for the fleet demo" in output


async def test_a_ready_file_that_could_not_be_written_is_told_before_anything_starts(tmp_path: Path) -> None:
    code, output = await run("up", "--port=0", f"--ready-file={tmp_path / 'nowhere' / 'ready.json'}")
    assert code == 3 and "there is no folder" in output and "is ready" not in output
    code, output = await run("status", f"--ready-file={tmp_path}")
    assert code == 3 and "is not a ready file: Is a directory; give what voicefleet up --ready-file wrote" in output


async def test_two_fleets_are_good_for_a_cluster_and_too_many_for_one_machine(tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(f"{GOOD}---\n{GOOD.replace('demo', 'other')}")
    assert (await run("check", str(file)))[0] == 0
    status, output = await run("up", "--port=0", "-f", str(file))
    assert status == 3 and "the file has demo, other; leave one VoiceFleet in the file" in output


async def test_a_file_is_checked_with_places_for_people_and_for_programs(tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(GOOD + "spec:\n  signaling: {replicas: many}\n  logLvl: info\n")
    code, output = await run("check", str(file), "--json")
    document = json.loads(output[: output.rindex("}\n{") + 2] if "}\n{" in output else output)
    found = [(each["line"], each["column"], each["field"]) for each in document["findings"]]
    assert code == 3 and not document["good"]
    assert found == [(5, 15, "spec.signaling.replicas"), (6, 3, "spec.logLvl")]
    assert "did you mean logLevel?" in document["findings"][1]["message"]


@pytest.mark.parametrize("command", ["status", "calls", "drain x", "trace 192.0.2.1", "call rtc_x"])
async def test_nobody_is_there(tmp_path: Path, command: str) -> None:
    code, output = await run(*command.split(), **NOWHERE, XDG_RUNTIME_DIR=str(tmp_path))
    assert code == 4
    assert "no fleet runs here, and there is no kubeconfig; start one with voicefleet up" in output.replace("\n", " ")


async def test_a_cluster_that_does_not_answer(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(
        json.dumps(
            {
                "clusters": [{"name": "c", "cluster": {"server": f"https://127.0.0.1:{port}"}}],
                "users": [{"name": "u", "user": {"token": "t"}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
        )
    )
    code, output = await run("status", f"--kubeconfig={kubeconfig}")
    assert code == 4 and "the cluster does not answer" in output and "Traceback" not in output
    code, output = await run("status", f"--kubeconfig={kubeconfig}", "--context=other")
    assert code == 2 and "has no context 'other'" in output


async def test_a_kubeconfig_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("just words")
    code, output = await run("status", f"--kubeconfig={tmp_path / 'config'}")
    assert code == 3 and "is not a kubeconfig" in output and "Traceback" not in output
    code, output = await run("status", f"--kubeconfig={tmp_path / 'none'}")
    assert code == 4 and "none does not exist" in output


async def test_called_by_kubectl_it_is_about_a_cluster(tmp_path: Path) -> None:
    code, output = await run("status", program="kubectl-voicefleet", **NOWHERE)
    assert code == 4 and "there is no kubeconfig" in output


async def test_a_key_that_is_not_the_fleets(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    async with local_fleet(tmp_path / "one") as one, local_fleet(tmp_path / "other") as other:
        url = one.base_url.removesuffix("/v1")
        code, output = await run("status", f"--url={url}", f"--key-file={other.ready['keyFile']}")
        assert code == 5 and "refuses the key" in output
        code, output = await run("status", f"--url={url}", f"--key-file={tmp_path / 'none'}")
        assert code == 3 and "none" in output
        code, output = await run("status", f"--url={url}")
        assert code == 2 and "--url needs --key-file" in output


async def test_a_fleet_that_does_not_run_any_more(tmp_path: Path) -> None:
    async with local_fleet(tmp_path) as fleet:
        kept = fleet.ready_file.read_text()
    (tmp_path / "kept.json").write_text(kept)
    code, output = await run("status", f"--ready-file={tmp_path / 'kept.json'}")
    assert code == 4 and "does not run any more" in output


async def test_errors_for_programs_are_json(tmp_path: Path) -> None:
    code, output = await run("status", "--json", **NOWHERE, XDG_RUNTIME_DIR=str(tmp_path))
    error = json.loads(output)["error"]
    assert code == error["exit"] == 4 and error["nextStep"].startswith("start one with voicefleet up")


async def test_a_wrong_command_line_is_status_two() -> None:
    assert (await run("fly"))[0] == 2
    assert (await run("up", "--port=99999"))[0] == 2
