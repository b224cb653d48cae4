"""The pods that the operator makes are what the services accept, and may do no more than they need."""

import re
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from tests.support.operator import FLEET, HERE, POOL, SHARD, fleet, pool, shard
from voicefleet.contract import Component, Env
from voicefleet.net.configuration import load
from voicefleet.net.setting_types import BUNDLED_DATABASE
from voicefleet.services.relay import hand_over
from voicefleet.services.relay.settings import Datapath, RelaySettings
from voicefleet.services.signaling.settings import SignalingSettings
from voicefleet.services.transceiver.settings import TransceiverSettings
from voicefleet_operator.model.fleet_manifests import fleet_manifests, redis_files
from voicefleet_operator.model.manifest import Manifest
from voicefleet_operator.model.ports import wants_of
from voicefleet_operator.model.relay_manifests import Advertised, relay_manifests
from voicefleet_operator.model.resources import Fleet, Pool, Shard
from voicefleet_operator.model.transceiver_manifests import transceiver_manifests, unavailable_pods

NODES = Advertised(by_node=(("edge-1", ("198.51.100.1",)), ("edge-2", ("198.51.100.2", "2001:db8::2"))))


def made(fleet: Fleet = FLEET, pool: Pool = POOL, shard: Shard = SHARD) -> list[Manifest]:
    return list(
        chain(
            fleet_manifests(fleet, HERE),
            relay_manifests(pool, fleet, HERE, 30478, NODES),
            transceiver_manifests(shard, fleet, HERE, shard.spec.replicas),
        )
    )


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    return {
        each["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]: each["spec"]["template"]["spec"]
        for each in manifests
        if each["kind"] in ("Deployment", "DaemonSet")
    }


def environment(pod: Manifest, folder: Path) -> dict[str, str]:
    """The variables as a kubelet on the node edge-2 would set them, with mounted files under `folder`."""
    fields = {
        "metadata.name": "pod-1",
        "spec.nodeName": "edge-2",
        "status.podIP": "10.244.0.9",
        "metadata.labels['topology.kubernetes.io/zone']": "",
    }
    values: dict[str, str] = {}
    for each in pod["containers"][0]["env"]:
        if "value" in each:
            values[each["name"]] = re.sub(r"\$\((\w+)\)", lambda found: values[found[1]], each["value"])
        else:
            values[each["name"]] = fields[each["valueFrom"]["fieldRef"]["fieldPath"]]
    values.pop("OWN_ADDRESS", None)  # only for others to name
    for name, value in values.items():
        if value.startswith(("/etc/voicefleet/", "/var/lib/voicefleet")):
            path = folder / value.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            values[name] = str(path)
    return values


def test_a_relay_reads_what_its_pod_is_given_with_the_addresses_of_its_node(tmp_path: Path) -> None:
    manifests = made(pool=pool(region="eu-central", location={"latitude": 50.1, "longitude": 8.7}, datapath="Kernel"))
    variables = environment(pods(manifests)[Component.RELAY], tmp_path)
    config_map = next(each for each in manifests if each["kind"] == "ConfigMap")
    file = Path(variables.pop(Env.CONFIG))
    file.write_text(config_map["data"][file.name])
    settings = load(RelaySettings, variables, file)
    assert settings.public_addresses == ("198.51.100.2", "2001:db8::2")
    assert [str(each) for each in settings.listen] == ["0.0.0.0:30478", "[::]:30478"]
    assert settings.datapath is Datapath.KERNEL
    assert (settings.pool, settings.region, settings.node, settings.pod) == ("edge", "eu-central", "edge-2", "pod-1")
    assert settings.place is not None and settings.place.latitude == 50.1
    assert settings.drain_deadline == 30.0 and settings.max_flows == 50_000 and len(settings.hop_networks) == 5


def test_a_transceiver_reads_what_its_pod_is_given(tmp_path: Path) -> None:
    variables = environment(pods(made(shard=shard(sessionsPerReplica=77)))[Component.TRANSCEIVER], tmp_path)
    settings = load(TransceiverSettings, variables)
    assert settings.hop_address == "10.244.0.9"
    assert (settings.shard, settings.sessions, settings.drain_deadline) == ("main", 77, 1800.0)


def test_a_transceiver_reads_how_it_reaches_its_models(tmp_path: Path) -> None:
    realtime = {
        "url": "wss://one.example/v1/realtime",
        "fallbackUrls": ["wss://two.example/v1/realtime"],
        "model": "theirs",
        "callsPerPod": 40,
        "callsPerPodAndMinute": 120,
        "telephone": False,
        "interruption": "Ear",
        "turns": "Voicefleet",
    }
    modelled = fleet(agent={"type": "Realtime", "realtime": realtime})
    settings = load(TransceiverSettings, environment(pods(made(fleet=modelled))[Component.TRANSCEIVER], tmp_path))
    assert settings.realtime_url == ("wss://one.example/v1/realtime", "wss://two.example/v1/realtime")
    assert (settings.realtime_calls, settings.realtime_calls_per_minute) == (40, 120)
    assert (settings.agent, settings.realtime_model) == ("realtime", "theirs")
    assert (settings.realtime_telephone, settings.realtime_interruption) == (False, "ear")
    assert settings.realtime_turns == "voicefleet"


def test_a_transceiver_finds_the_class_that_serves_its_calls_in_a_config_map(tmp_path: Path) -> None:
    python = {"entrypoint": "parrot:Parrot", "configMapRef": {"name": "my-agent"}, "memoryMegabytes": 256}
    python["interpreter"] = "/opt/agent/bin/python"
    pod = pods(made(fleet=fleet(agent={"type": "Python", "python": python})))[Component.TRANSCEIVER]
    settings = load(TransceiverSettings, environment(pod, tmp_path))
    assert (settings.agent, settings.python_agent, settings.python_agent_memory) == ("python", "parrot:Parrot", 256)
    assert settings.python_agent_interpreter == Path("/opt/agent/bin/python")
    (volume,) = (each for each in pod["volumes"] if each.get("configMap", {}).get("name") == "my-agent")
    (mount,) = (each for each in pod["containers"][0]["volumeMounts"] if each["name"] == volume["name"])
    assert str(settings.python_agent_path).endswith(mount["mountPath"]) and mount["readOnly"]


def test_signaling_reads_what_its_pod_is_given(tmp_path: Path) -> None:
    settings = load(SignalingSettings, environment(pods(made())[Component.SIGNALING], tmp_path))
    assert settings.api_keys_directory is not None and not settings.open
    assert settings.geo_database == BUNDLED_DATABASE, "geo.database is Bundled unless somebody says None"


def test_signaling_and_transceivers_are_told_where_traces_go_and_relays_are_not(tmp_path: Path) -> None:
    endpoint = "http://collector.observability:4318"
    told = pods(made(fleet(monitoring={"otlpEndpoint": endpoint})))
    assert load(SignalingSettings, environment(told[Component.SIGNALING], tmp_path)).otlp_endpoint == endpoint
    assert load(TransceiverSettings, environment(told[Component.TRANSCEIVER], tmp_path)).otlp_endpoint == endpoint
    assert Env.OTLP_ENDPOINT not in environment(told[Component.RELAY], tmp_path)
    for component in (Component.SIGNALING, Component.TRANSCEIVER):
        assert Env.OTLP_ENDPOINT not in environment(pods(made())[component], tmp_path)


def test_signaling_of_a_fleet_without_a_geo_database_reads_none(tmp_path: Path) -> None:
    placed = fleet(geo={"database": "None"})
    settings = load(SignalingSettings, environment(pods(made(fleet=placed))[Component.SIGNALING], tmp_path))
    assert settings.geo_database is None


def test_signaling_reads_the_places_regions_and_proxies_of_its_fleet(tmp_path: Path) -> None:
    known = {"cidr": "10.0.0.0/8", "latitude": 50.1, "longitude": 8.7}
    placed = fleet(
        geo={"networks": [known], "allowedRegions": ["eu", "us"], "defaultRegion": "eu"},
        signaling={"trustedProxies": ["10.0.0.0/8", "fd00::/8"]},
    )
    settings = load(SignalingSettings, environment(pods(made(fleet=placed))[Component.SIGNALING], tmp_path))
    assert [(str(each.cidr), each.latitude, each.longitude) for each in settings.geo_networks] == [
        ("10.0.0.0/8", 50.1, 8.7)
    ]
    assert (settings.allowed_regions, settings.default_region) == (("eu", "us"), "eu")
    assert [str(each) for each in settings.trusted_proxies] == ["10.0.0.0/8", "fd00::/8"]


@pytest.mark.parametrize("component", [Component.RELAY, Component.TRANSCEIVER, Component.SIGNALING, "session-map"])
def test_a_pod_may_do_nothing_that_it_does_not_need(component: str) -> None:
    pod = pods(made())[component]
    container = pod["containers"][0]
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not pod["automountServiceAccountToken"]
    assert container["resources"]["requests"] and "memory" in container["resources"]["limits"]
    assert "cpu" not in container["resources"]["limits"]
    assert container["livenessProbe"] and container["readinessProbe"]


def test_only_a_relay_that_is_to_use_the_kernel_gets_capabilities() -> None:
    pod = pods(made(pool=pool(datapath="Auto")))[Component.RELAY]
    assert pod["containers"][0]["securityContext"]["capabilities"] == {
        "drop": ["ALL"],
        "add": ["BPF", "NET_ADMIN", "PERFMON"],
    }
    assert pod["securityContext"]["runAsUser"] == 0


def test_a_pod_has_longer_to_end_than_its_drain_may_take() -> None:
    some = pods(made(shard=shard(drain={"deadline": "2h"})))
    assert some[Component.TRANSCEIVER]["terminationGracePeriodSeconds"] > 7200
    assert some[Component.RELAY]["terminationGracePeriodSeconds"] > 30
    # The first process of a namespace ignores SIGTERM until it has a handler: told to go as it starts, it would stay.
    assert all(some[each]["shareProcessNamespace"] for each in (Component.RELAY, Component.TRANSCEIVER))


def relay_ports(kind: str) -> dict[str, list[Manifest]]:
    manifests = made(pool=pool(expose={"type": kind}))
    services = [each for each in manifests if each["kind"] == "Service" and "relay" in each["metadata"]["name"]]
    assert all(each["spec"]["externalTrafficPolicy"] == "Local" for each in services)
    return {each["metadata"]["name"]: each["spec"]["ports"] for each in services}


def test_a_balancer_has_a_service_for_udp_and_one_for_tcp_with_the_leased_port() -> None:
    assert relay_ports("LoadBalancer") == {
        "edge-relay-udp": [{"name": "udp", "port": 30478, "targetPort": 30478, "protocol": "UDP"}],
        "edge-relay-tcp": [{"name": "tcp", "port": 30478, "targetPort": 30478, "protocol": "TCP"}],
    }


def test_a_node_port_belongs_to_one_service_for_both() -> None:
    assert relay_ports("NodePort") == {
        "edge-relay": [
            {"name": "udp", "port": 30478, "targetPort": 30478, "protocol": "UDP", "nodePort": 30478},
            {"name": "tcp", "port": 30478, "targetPort": 30478, "protocol": "TCP", "nodePort": 30478},
        ]
    }
    assert relay_ports("HostPort") == {}


ON_NODES = pool(expose={"type": "HostNetwork"}, workload="DaemonSet")


def test_relays_in_their_nodes_networks_overlap_in_a_rollout(tmp_path: Path) -> None:
    """A declared port, also that of the health, would keep the successor from starting beside its predecessor."""
    manifests = relay_manifests(ON_NODES, FLEET, HERE, 30478, NODES, 30479)
    workload = next(each for each in manifests if each["kind"] == "DaemonSet")
    pod = workload["spec"]["template"]["spec"]
    assert workload["spec"]["updateStrategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert pod["hostNetwork"] and pod["dnsPolicy"] == "ClusterFirstWithHostNet"
    main = pod["containers"][0]
    assert main["ports"] == []
    assert {main[each]["httpGet"]["port"] for each in ("startupProbe", "livenessProbe", "readinessProbe")} == {30479}
    variables = environment(pod, tmp_path)
    config_map = next(each for each in manifests if each["kind"] == "ConfigMap")
    file = Path(variables.pop(Env.CONFIG))
    file.write_text(config_map["data"][file.name])
    settings = load(RelaySettings, variables, file)
    assert settings.health_listen == ("10.244.0.9", 30479)
    assert hand_over.door_name(settings, "demo") is not None


def test_relays_in_their_nodes_networks_get_a_port_for_their_health_too() -> None:
    """Several pools, and other programs, may have the same node."""
    assert [want.pool for want in wants_of(ON_NODES)] == ["edge", "edge/health"]
    assert [want.pool for want in wants_of(POOL)] == ["edge"]


def test_whom_no_selector_can_name_is_let_in_by_its_key() -> None:
    """Packets of the node's network come from the node's address."""

    def let_in(kind: str, name: str, manifests: tuple[Manifest, ...]) -> Manifest:
        policy = next(each for each in manifests if (each["kind"], each["metadata"]["name"]) == (kind, name))
        rule: Manifest = policy["spec"]["ingress"][0]
        return rule

    for on_nodes in (False, True):
        shards = transceiver_manifests(SHARD, FLEET, HERE, 1, on_nodes)
        assert ("from" in let_in("NetworkPolicy", "main-transceiver", shards)) != on_nodes
        fleets = fleet_manifests(FLEET, HERE, on_nodes)
        assert ("from" in let_in("NetworkPolicy", "demo-session-map", fleets)) != on_nodes
    assert "NetworkPolicy" not in {each["kind"] for each in relay_manifests(ON_NODES, FLEET, HERE, 30478, NODES, 30479)}


def test_relays_of_other_clusters_are_let_in_by_their_networks() -> None:
    manifests = transceiver_manifests(SHARD, fleet(relayNetworks=["10.8.0.0/13"]), HERE, 1)
    (policy,) = (each for each in manifests if each["kind"] == "NetworkPolicy")
    hop, internal, _ = policy["spec"]["ingress"]
    assert {"ipBlock": {"cidr": "10.8.0.0/13"}} in hop["from"] and len(hop["from"]) == 2
    assert {"ipBlock": {"cidr": "10.8.0.0/13"}} not in internal["from"]


def test_a_pool_that_has_no_address_yet_starts_no_relays() -> None:
    made_without = relay_manifests(pool(expose={"type": "LoadBalancer"}), FLEET, HERE, 30478, Advertised())
    kinds = [each["kind"] for each in made_without]
    assert kinds.count("Service") == 2 and "Deployment" not in kinds


def test_another_balancer_address_is_a_rollout_and_another_node_is_none() -> None:
    def template(advertised: Advertised) -> Any:
        manifests = relay_manifests(POOL, FLEET, HERE, 30478, advertised)
        return next(each for each in manifests if each["kind"] == "Deployment")["spec"]["template"]

    assert template(Advertised(everywhere=("192.0.2.1",))) != template(Advertised(everywhere=("192.0.2.2",)))
    assert template(NODES) == template(Advertised(by_node=(("edge-9", ("192.0.2.9",)),)))


@pytest.mark.parametrize(
    ("replicas", "rollout", "pods_missing"),
    [
        (10, {}, 0),
        (10, {"maxUnavailable": "50%"}, 2),
        (10, {"maxUnavailable": "50%", "maxUnavailableSessions": "100%"}, 5),
        (10, {"maxUnavailable": 3, "maxUnavailableSessions": 150}, 0),
        (10, {"maxUnavailable": 3, "maxUnavailableSessions": 450}, 2),
    ],
)
def test_a_rollout_misses_no_more_pods_than_room_for_calls_allows(
    replicas: int, rollout: dict[str, Any], pods_missing: int
) -> None:
    assert unavailable_pods(shard(replicas=replicas, rollout=rollout), replicas) == pods_missing


def test_everything_that_is_made_goes_with_its_owner() -> None:
    for manifest in made(fleet=fleet(signaling={"service": {"type": "LoadBalancer"}})):
        (reference,) = manifest["metadata"]["ownerReferences"]
        assert reference["controller"] and reference["uid"], manifest["metadata"]["name"]


def test_the_embedded_redis_keeps_nothing_on_disk_and_its_password_in_a_secret() -> None:
    files = redis_files(FLEET, "s3cret")
    assert 'save ""' in files["redis.conf"] and "appendonly no" in files["redis.conf"]
    assert files["url"] == "redis://:s3cret@demo-session-map.voice.svc:6379/0"
    assert "s3cret" not in str(made())


def test_an_external_map_makes_no_redis() -> None:
    external = fleet(sessionMap={"type": "External", "external": {"urlSecretRef": {"name": "mine", "key": "redis"}}})
    assert "session-map" not in pods(made(fleet=external))
    volumes = pods(made(fleet=external))[Component.RELAY]["volumes"]
    secret = next(each["secret"] for each in volumes if each["name"] == "session-map")
    assert secret["secretName"] == "mine" and secret["items"] == [{"key": "redis", "path": "url"}]


def test_the_image_is_the_operators_own_unless_the_fleet_says_another() -> None:
    def used(some: Fleet) -> set[str]:
        return {pod["containers"][0]["image"] for pod in pods(made(fleet=some)).values()}

    assert used(FLEET) == {"registry.example:5000/voicefleet:0.1.0"}
    assert used(fleet(image={"repository": "mine/voice"})) == {"mine/voice:0.1.0"}
    assert used(fleet(image={"tag": "edge"})) == {"registry.example:5000/voicefleet:edge"}
