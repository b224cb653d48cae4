"""What the API server answers, as what the operator can do about it; an HTTP server stands in for it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from voicefleet_operator.kube.cluster import Cluster
from voicefleet_operator.kube.endpoints import POD
from voicefleet_operator.kube.errors import Conflict, Forbidden, KubernetesError, NotFound, Refused, Unavailable


class Standing:
    """Answers every request in one way."""

    def __init__(self) -> None:
        self.status, self.headers, self.text = 200, dict[str, str](), "{}"

    async def answer(self, _request: web.Request) -> web.Response:
        return web.Response(status=self.status, headers=self.headers, text=self.text, content_type="application/json")


@pytest.fixture
def standing() -> Standing:
    return Standing()


@pytest_asyncio.fixture
async def cluster(standing: Standing, tmp_path: Path) -> AsyncIterator[Cluster]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", standing.answer)
    async with TestServer(application) as server:
        file = tmp_path / "kubeconfig"
        context = {"name": "it", "context": {"cluster": "it", "user": "me"}}
        there = {"name": "it", "cluster": {"server": str(server.make_url(""))}}
        me = {"name": "me", "user": {"token": "mine"}}
        file.write_text(
            json.dumps({"current-context": "it", "contexts": [context], "clusters": [there], "users": [me]})
        )
        made = await Cluster.connect(str(file))
        yield made
        await made.close()


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        pytest.param(404, "not found", NotFound, id="it is not there"),
        pytest.param(403, "namespace is being removed because it is being terminated", NotFound, id="it goes, too"),
        pytest.param(403, "cannot get resource pods", Forbidden, id="the role lacks it"),
        pytest.param(409, "the object has been modified", Conflict, id="somebody was faster"),
        pytest.param(410, "the provided continue parameter is too old", Conflict, id="a list that took too long"),
        pytest.param(412, "precondition failed", Conflict, id="another one of that name"),
        pytest.param(422, "spec.replicas: Invalid value", Refused, id="invalid"),
        pytest.param(401, "Unauthorized", Unavailable, id="a token that is being renewed"),
        pytest.param(500, "etcdserver: leader changed", Unavailable, id="its own trouble"),
        pytest.param(503, "apiserver is shutting down", Unavailable, id="it ends"),
    ],
)
async def test_a_status_becomes_what_can_be_done_about_it(
    cluster: Cluster, standing: Standing, status: int, message: str, error: type[KubernetesError]
) -> None:
    standing.status, standing.text = status, json.dumps({"kind": "Status", "message": message})
    with pytest.raises(error) as told:
        await cluster.get(POD, "voice", "a")
    assert type(told.value) is error and told.value.message == message
    assert str(told.value) == f"GET /api/v1/namespaces/voice/pods/a: {message}"


@pytest.mark.parametrize(("header", "wait"), [("7", 7.0), ("", None), ("Sun, 22 Nov 2026 01:00:00 GMT", None)])
async def test_too_many_requests_tell_how_long_to_wait(
    cluster: Cluster, standing: Standing, header: str, wait: float | None
) -> None:
    standing.status, standing.text = 429, "Too many requests, please try again later."
    standing.headers = {"Retry-After": header} if header else {}
    with pytest.raises(Unavailable) as told:
        await cluster.list(POD)
    assert told.value.retry_after == wait and "Too many requests" in told.value.message


async def test_every_request_is_counted_with_how_it_was_answered(cluster: Cluster, standing: Standing) -> None:
    asked: list[tuple[str, int]] = []
    cluster.asked = lambda method, status: asked.append((method, status))
    await cluster.get(POD, "voice", "a")
    standing.status = 429
    with pytest.raises(Unavailable):
        await cluster.get(POD, "voice", "a")
    assert asked == [("GET", 200), ("GET", 429)]


async def test_a_server_that_is_gone_is_unavailable(cluster: Cluster, tmp_path: Path) -> None:
    file = json.loads((tmp_path / "kubeconfig").read_text())
    file["clusters"][0]["cluster"]["server"] = "http://127.0.0.1:1"
    (tmp_path / "elsewhere").write_text(json.dumps(file))
    nobody = await Cluster.connect(str(tmp_path / "elsewhere"))
    try:
        with pytest.raises(Unavailable) as told:
            await nobody.get(POD, "voice", "a")
        assert told.value.status == 0
    finally:
        await nobody.close()
