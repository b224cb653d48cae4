"""Another image, under twenty calls: of a fleet by its field, and of everything by an upgrade of the chart and back.

All pods are replaced, and relays pool by pool: a call is always offered one that stays.
"""

import json
from typing import Any

from tests.cluster.pods.conftest import CHART, REPOSITORY, TAG
from tests.support.kubernetes.cluster import Cluster
from tests.support.kubernetes.talk import NOTHING, Talk
from tests.support.kubernetes.voice import Voice, is_ready

NEXT = f"{TAG}-next"
COMPONENT = "app.kubernetes.io/component"
PARTS = {"session-map", "signaling", "transceiver", "relay"}


def _bring_next_image(cluster: Cluster) -> None:
    Voice(cluster, "").node.tag(f"{REPOSITORY}:{TAG}", f"{REPOSITORY}:{NEXT}")


def _until_all_have(voice: Voice, tag: str, parts: set[str] = PARTS) -> None:
    """Wait for pods of an image everywhere, with none on its way out but transceivers, which stay with their calls.

    At any moment there is a relay that serves.
    """

    def arrived() -> bool:
        pods = [each for each in voice.get("pods")["items"] if _part(each) in parts]
        going = {_part(each) for each in pods if "deletionTimestamp" in each["metadata"]}
        staying = [each for each in pods if "deletionTimestamp" not in each["metadata"]]
        serving = {_part(each) for each in staying if is_ready(each)}
        assert "relay" in serving or "relay" not in parts, "all relays go at once"
        images = {each["spec"]["containers"][0]["image"] for each in staying}
        whole = serving == parts and all(map(is_ready, staying))
        return whole and images == {f"{REPOSITORY}:{tag}"} and going <= {"transceiver"}

    voice.until(arrived, f"all pods have {tag}")


def _part(pod: dict[str, Any]) -> str:
    part: str = pod["metadata"]["labels"].get(COMPONENT, "")
    return part


def test_the_chart_is_upgraded_and_rolled_back(talk: Talk) -> None:
    voice, system = talk.voice, Voice(talk.voice.cluster, "voicefleet-system")
    cluster = voice.cluster
    _bring_next_image(cluster)
    definition, columns = "crd/relaypools.voicefleet.dev", "/spec/versions/0/additionalPrinterColumns"
    newest = json.loads(cluster.must("get", definition, "-o", "json"))["spec"]
    older = json.dumps([{"op": "replace", "path": columns, "value": []}])
    release = ("voicefleet", "--namespace", "voicefleet-system", "--wait", "--timeout", "180s")

    def helm(*arguments: str) -> None:
        ran = cluster.helm(*arguments)
        assert ran.returncode == 0, ran.stderr

    def upgrade() -> None:
        cluster.must("patch", definition, "--type=json", "-p", older)
        helm(
            "upgrade", *release[:1], str(CHART), *release[1:], "--reset-then-reuse-values", "--set", f"image.tag={NEXT}"
        )
        _until_all_have(system, NEXT, {"operator"})
        assert json.loads(cluster.must("get", definition, "-o", "json"))["spec"] == newest
        _until_all_have(voice, NEXT)

    def roll_back() -> None:
        helm("rollback", *release)
        _until_all_have(voice, TAG)

    talk.hears("chart upgraded: operator, definitions, all pods", NOTHING, upgrade)
    talk.hang_up()  # so that transceivers go: three generations of them are more than a small node has room for
    voice.until(lambda: not voice.going("transceiver"), "the old ones have gone")
    talk.hears("chart rolled back: the same", NOTHING, roll_back)


def test_an_image_that_cannot_be_had_ends_at_one_pool_and_the_next_good_one_goes_everywhere(talk: Talk) -> None:
    voice = talk.voice
    _bring_next_image(voice.cluster)

    def image(tag: str) -> None:
        voice.k("patch", "vf/demo", "--type=merge", "-p", json.dumps({"spec": {"image": {"tag": tag}}}))

    def fail() -> None:
        image("nowhere")
        pools = ("rp/edge", "rp/spare")
        voice.until(
            lambda: {voice.condition(each, "Progressing").reason for each in pools} == {"RollingOut", "WaitsForPool"},
            "one pool tries it and the other one waits",
        )
        voice.until(lambda: not voice.going("relay"), "the old relay has gone")
        assert len(voice.ready("relay")) == 1 and len(voice.ready("transceiver")) == 2
        for each in ("ts/main", next(each for each in pools if voice.condition(each, "Progressing").so)):
            voice.until(
                lambda each=each: f"{REPOSITORY}:nowhere cannot be had" in voice.condition(each, "Degraded").message,  # type: ignore[misc]
                f"{each} says why",
            )
        assert len(voice.pods("transceiver")) == 3 and voice.condition("ts/main", "Ready").so
        image(NEXT)
        _until_all_have(voice, NEXT)

    what = "image that cannot be had, and then one that can (relay rollout, of all pods)"
    talk.hears(what, NOTHING, fail)  # the fleet keeps it; no other test minds
