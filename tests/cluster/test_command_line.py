"""The command line beside a real API server: what it lacks is named, with its mend, and nothing is a traceback."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.support.kubernetes.control_plane import ControlPlane, control_plane
from tests.support.kubernetes.programs import BuildError, programs
from tests.support.voicefleet_command import run
from voicefleet_operator.api.crds import definition
from voicefleet_operator.api.kinds import KINDS

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("bare")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bare() -> AsyncIterator[ControlPlane]:
    """A cluster that nobody has installed anything in."""
    try:
        built = programs()
    except BuildError as error:
        pytest.fail(f"Kubernetes could not be built: {error}", pytrace=False)
    async with control_plane(built) as running:
        yield running


def stranger(plane: ControlPlane) -> Path:
    """A kubeconfig of somebody whom the cluster knows, and allows nothing."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "nobody", "namespace": "default"}}
    plane.apply(account)
    token = plane.kubectl("create", "token", "nobody").stdout.strip()
    return plane.make_kubeconfig("nobody", token)


async def findings(kubeconfig: Path) -> dict[str, dict[str, Any]]:
    code, output = await run("doctor", f"--kubeconfig={kubeconfig}", "--json")
    assert code == 1 and "Traceback" not in output, output
    document, _ = json.JSONDecoder().raw_decode(output)
    return {f"{each['about']} {each['what']}": each for each in document if each["state"] == "bad"}


async def test_from_an_empty_cluster_to_one_with_old_definitions(bare: ControlPlane) -> None:
    missing = await findings(bare.kubeconfig)
    for kind in KINDS.values():
        found = missing[f"CRD {kind.crd} the cluster does not know this kind"]
        assert "kubectl apply --server-side -f crds/" in found["mend"]
    code, output = await run("status", f"--kubeconfig={bare.kubeconfig}")
    assert code == 7 and "the cluster does not know the kind VoiceFleet; install the CRDs" in output

    forbidden = await findings(stranger(bare))
    roles = [each for name, each in forbidden.items() if name.startswith("roles")]
    assert any("you may not get secrets in default" in each["what"] for each in roles)
    assert all("ask for a role that allows" in each["mend"] for each in roles)
    code, output = await run("status", f"--kubeconfig={bare.make_kubeconfig('wrong', 'no-token')}")
    assert code == 5 and "does not know who you are" in output

    old = [definition(kind) for kind in KINDS.values()]
    del old[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["geo"]
    bare.apply(*old)
    established = [f"crd/{kind.crd}" for kind in KINDS.values()]
    waited = bare.kubectl("wait", "--for=condition=Established", "--timeout=60s", *established)
    assert waited.returncode == 0, waited.stderr
    outdated = await findings(bare.kubeconfig)
    definitions = [name for name in outdated if name.startswith("CRD ")]
    assert definitions == ["CRD voicefleets.voicefleet.dev is of another version"]

    code, output = await run("status", f"--kubeconfig={bare.kubeconfig}")
    assert code == 7 and "there is no VoiceFleet in the namespace default" in output
    code, output = await run("status", f"--kubeconfig={stranger(bare)}")
    assert code == 5 and "the cluster does not allow it" in output and "ask for that role" in output
    bare.apply(
        {
            "apiVersion": "voicefleet.dev/v1alpha1",
            "kind": "VoiceFleet",
            "metadata": {"name": "demo", "namespace": "default"},
        }
    )
    code, output = await run("calls", f"--kubeconfig={bare.kubeconfig}")
    assert code == 7 and 'secrets "demo-keys" not found' in output
    found = await findings(bare.kubeconfig)
    assert "VoiceFleet demo no operator has looked at it" in found


POOL = """apiVersion: voicefleet.dev/v1alpha1
kind: RelayPool
metadata: {name: edge}
spec: {fleetRef: demo, region: west, replicas: 2}
"""


async def test_what_a_file_would_change_is_told_and_nothing_is_changed(bare: ControlPlane, tmp_path: Path) -> None:
    bare.apply(*(definition(kind) for kind in KINDS.values()))
    waited = bare.kubectl(
        "wait", "--for=condition=Established", "--timeout=60s", *(f"crd/{each.crd}" for each in KINDS.values())
    )
    assert waited.returncode == 0, waited.stderr
    file = tmp_path / "pool.yaml"
    file.write_text(POOL)

    async def planned(*options: str) -> tuple[int, str]:
        return await run("check", str(file), f"--kubeconfig={bare.kubeconfig}", *options)

    code, output = await planned()
    assert code == 0 and output.endswith("RelayPool edge: would be created\n"), output
    assert bare.kubectl("get", "relaypools", "-o", "name").stdout == ""
    for how in ((), ("--server-side", "--force-conflicts")):
        file.write_text(POOL)
        applied = bare.kubectl("apply", *how, "-f", str(file))
        assert applied.returncode == 0, applied.stderr
        assert "RelayPool edge: nothing would change" in (await planned())[1]
        file.write_text(POOL.replace("region: west, replicas: 2", "replicas: 3"))
        code, output = await planned("--json")
        (plan,) = json.loads(output)["changes"]
        assert code == 0 and plan["changes"] == [
            {"field": "spec.region", "old": "west", "new": ""},
            {"field": "spec.replicas", "old": 2, "new": 3},
        ], output
        bare.kubectl("delete", "relaypool", "edge")
    code, output = await run("check", str(file), f"--kubeconfig={stranger(bare)}")
    assert code == 5 and "the cluster does not allow it" in output
