"""What relays carry stands in their pool's status, and a policy scales by it."""

import random
from contextlib import AsyncExitStack

from tests.support.kubernetes.objects import Namespace
from tests.support.kubernetes.relay import StandIn


def _status(voice: Namespace, target: str) -> dict[str, object]:
    found: dict[str, object] = (voice.get(target) or {}).get("status") or {}
    return found


async def test_a_pool_shows_its_flows_and_grows_by_them_and_holds_when_a_relay_is_silent(voice: Namespace) -> None:
    voice.apply("VoiceFleet", "demo")
    voice.apply("RelayPool", "edge", {"fleetRef": "demo", "replicas": 2, "limits": {"flows": 1000}})
    await voice.until(lambda: len(voice.pods(pool="edge")) == 2, "there are two relays")
    async with AsyncExitStack() as stack:
        relays = []
        for pod in voice.pods(pool="edge"):
            relay = await _somewhere(stack)
            relays.append(relay)
            voice.run_pod(pod["metadata"]["name"], relay.address)
        relays[0].flows, relays[1].flows = 250, 30
        await voice.until(lambda: _status(voice, "rp/edge").get("flows") == 280, "the flows are counted")
        assert _status(voice, "rp/edge")["load"] == 25
        assert "280" in voice.kubectl("get", "rp", "edge")
        policy = {"targetRef": {"kind": "RelayPool", "name": "edge"}, "flows": 100, "staleAfter": "5s"}
        voice.apply("ScalingPolicy", "by-flows", policy)
        await voice.until(lambda: (voice.get("rp/edge") or {})["spec"]["replicas"] == 3, "a third relay is wanted")
        assert "280 flows" in str(_status(voice, "vsp/by-flows")["reason"])
        relays[1].silent = True
        await voice.until(
            lambda: voice.condition("vsp/by-flows", "AbleToScale")[1] == "FiguresMissing", "it cannot count them"
        )
        assert (voice.get("rp/edge") or {})["spec"]["replicas"] == 3


async def _somewhere(stack: AsyncExitStack) -> StandIn:
    while True:
        relay = StandIn(f"127.{random.randint(1, 250)}.{random.randint(0, 250)}.{random.randint(2, 250)}")
        try:
            return await stack.enter_async_context(relay.served())
        except OSError:
            continue  # somebody has that address
