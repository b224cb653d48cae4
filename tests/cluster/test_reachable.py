"""A pool tells whether its relays are reached where clients are told to call; the relays here are real ones."""

import base64
import random
import signal
from pathlib import Path

from tests.support.kubernetes.objects import Namespace
from tests.support.relay_process import relay_process
from voicefleet.wire.keyring import KeyRing

HOP_NETWORKS = "10.0.0.0/8"


async def test_a_pool_tells_whether_its_relays_answer_where_clients_call(voice: Namespace, tmp_path: Path) -> None:
    relays = _loopback()
    nobody = _loopback()
    voice.apply("VoiceFleet", "demo", {"hopNetworks": [HOP_NETWORKS]})
    for name, address in (("open", relays), ("hidden", nobody)):
        voice.apply("RelayPool", name, {"fleetRef": "demo", "expose": {"advertise": [address]}})
    ports = {name: await voice.until(lambda name=name: _port(voice, name), "a port") for name in ("open", "hidden")}  # type: ignore[misc]
    secret = await voice.until(lambda: voice.get("secret/demo-keys"), "there are keys")
    ring = KeyRing.parse(base64.b64decode(secret["data"]["keyring.json"]))
    listen = ",".join(f"{relays}:{port}" for port in ports.values())
    async with relay_process(tmp_path, ring, relays, LISTEN=listen, HOP_NETWORKS=HOP_NETWORKS) as relay:
        assert voice.condition("rp/open", "Reachable")[:2] == ("Unknown", "NotTried")
        for name in ports:
            await voice.until(lambda name=name: voice.pods(pool=name), "there is a pod")  # type: ignore[misc]
            (pod,) = voice.pods(pool=name)
            voice.run_pod(pod["metadata"]["name"], relays)
        await voice.until(lambda: voice.condition("rp/open", "Reachable")[0] == "True", "a relay has answered")
        assert f"{relays}:{ports['open']}" in voice.condition("rp/open", "Reachable")[2]
        await voice.until(lambda: voice.is_ready("rp/open"), "it is ready")
        # From where the operator stands nothing can be said of the other one: that is no fault, and calls may come.
        await voice.until(lambda: voice.condition("rp/hidden", "Reachable")[1] == "NoAnswerFromInside", "it says so")
        assert voice.condition("rp/hidden", "Reachable")[0] == "Unknown"
        await voice.until(lambda: voice.is_ready("rp/hidden"), "it is ready all the same")
        assert "voicefleet doctor tells from outside" in " ".join(voice.kubectl("describe", "rp/hidden").split())
        assert (await relay.metrics())["voicefleet_relay_flows{state=pending}"] == 0
        await relay.end(signal.SIGKILL)
        await voice.until(lambda: voice.condition("rp/open", "Reachable")[0] == "False", "nobody answers any more")
        assert voice.condition("rp/open", "Reachable")[1] == "NoAnswer"
        assert voice.is_ready("rp/open"), "what the check from one place finds does not make a pool unready"
        await relay.start()
        await voice.until(lambda: voice.condition("rp/open", "Reachable")[0] == "True", "it answers again")
    events = voice.kubectl("get", "events", "--field-selector", "involvedObject.name=open")
    assert "NoAnswer" in events and "Answered" in events


def _port(voice: Namespace, pool: str) -> int | None:
    port: int | None = ((voice.get(f"rp/{pool}") or {}).get("status") or {}).get("port")
    return port


def _loopback() -> str:
    return f"127.{random.randint(1, 250)}.{random.randint(0, 250)}.{random.randint(2, 250)}"
