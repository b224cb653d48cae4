"""The health port over real HTTP, as a kubelet and Prometheus ask it."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from prometheus_client import Counter
from prometheus_client.parser import text_string_to_metric_families

from voicefleet.observability.health import Health, application, served
from voicefleet.observability.metrics import registry


class Service:
    """A service with nothing but health."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.health = Health(lambda: self.now)
        self.registry = registry("relay")
        self.registry.register(self.health)
        self.url = ""
        self._http = aiohttp.ClientSession()

    async def get(self, path: str, **headers: str) -> tuple[int, str, str]:
        async with self._http.get(self.url + path, headers=headers) as answer:
            return answer.status, await answer.text(), answer.headers["Content-Type"]

    async def json(self, path: str) -> tuple[int, object]:
        async with self._http.get(self.url + path) as answer:
            return answer.status, await answer.json()

    async def close(self) -> None:
        await self._http.close()


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    made = Service()
    async with served(application(made.health, made.registry), "127.0.0.1", 0) as port:
        made.url = f"http://127.0.0.1:{port}"
        yield made
        await made.close()


async def test_a_service_is_ready_when_every_condition_holds_and_says_which_does_not(service: Service) -> None:
    keys, socket = service.health.condition("keys"), service.health.condition("socket")
    assert await service.json("/readyz") == (503, {"ready": False, "waiting": {"keys": "not yet", "socket": "not yet"}})
    keys.holds()
    socket.fails("address in use")
    assert await service.json("/readyz") == (503, {"ready": False, "waiting": {"socket": "address in use"}})
    socket.holds()
    assert await service.json("/readyz") == (200, {"ready": True, "waiting": {}})
    keys.fails("draining")
    assert (await service.json("/readyz"))[0] == 503


async def test_a_loop_that_stands_still_makes_the_service_dead_and_nothing_else_does(service: Service) -> None:
    service.health.condition("redis").fails("gone")
    heart = service.health.heart("packets", stale_after=5.0)
    assert await service.json("/livez") == (200, {"alive": True, "stale": {}})
    service.now += 5.1
    assert await service.json("/livez") == (
        500,
        {"alive": False, "stale": {"packets": "last seen 5.1 s ago, at most 5 s are allowed"}},
    )
    heart.beat()
    assert (await service.json("/livez"))[0] == 200


async def test_a_worker_process_stamps_its_heart_in_shared_memory(service: Service) -> None:
    stamps = {0: service.now}
    service.health.heart("worker 0", stale_after=3.0, last=lambda: stamps[0])
    service.now += 10
    assert (await service.json("/livez"))[0] == 500
    stamps[0] = service.now - 1
    assert (await service.json("/livez"))[0] == 200


async def test_an_event_loop_beats_by_itself(service: Service) -> None:
    heart = service.health.heart("control", stale_after=0.05)
    service.now += 100.0
    beating = asyncio.create_task(heart.beat_while_running())
    async with asyncio.timeout(30):
        while (await service.json("/livez"))[0] != 200:
            pass
    beating.cancel()


async def test_prometheus_reads_the_metrics(service: Service) -> None:
    Counter("calls", "Calls.", ["result"], registry=service.registry).labels("answered").inc(3)
    service.health.condition("keys").holds()
    service.health.heart("packets", stale_after=5.0)
    status, text, content_type = await service.get("/metrics")
    assert status == 200 and content_type.startswith("text/plain; version=")
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["calls_total", "answered"] == 3
    assert found["voicefleet_ready_condition", "keys"] == 1
    assert found["voicefleet_heartbeat_age_seconds", "packets"] == 0
    assert any(name == "voicefleet_build_info" and "relay" in labels for name, *labels in found)
    assert ("process_resident_memory_bytes",) in found
    status, text, content_type = await service.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert status == 200 and content_type.startswith("application/openmetrics-text") and text.endswith("# EOF\n")


async def test_other_paths_and_methods_are_refused(service: Service) -> None:
    assert (await service.get("/"))[0] == 404
    async with aiohttp.ClientSession() as http, http.post(service.url + "/livez") as answer:
        assert answer.status == 405


def test_a_name_stands_once() -> None:
    health = Health()
    health.condition("keys")
    health.heart("loop", 1.0)
    with pytest.raises(ValueError):
        health.condition("keys")
    with pytest.raises(ValueError):
        health.heart("loop", 1.0)
