"""Which processes a fleet's file means on one machine: the same settings that the operator gives to pods.

What has no meaning without a cluster (nodes, images, load balancers, resources) is left alone. There is one signaling,
since nothing balances here, and nobody scales: a ScalingPolicy is checked and not followed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeVar

from voicefleet.cli.failure import Exit, Failure
from voicefleet.cli.local.reconcile import Group
from voicefleet.cli.resources.fleet_file import FleetFile
from voicefleet.contract import Component, Env
from voicefleet_operator.api.parts import Location, Part, SecretKeyRef
from voicefleet_operator.api.relay_pool import RelayPoolSpec
from voicefleet_operator.api.spelling import duration
from voicefleet_operator.api.transceiver_shard import TransceiverShardSpec
from voicefleet_operator.api.voice_fleet import ConfigMapRef, VoiceFleetSpec
from voicefleet_operator.model.agent import python_environment, realtime_environment
from voicefleet_operator.model.traces import traces_environment

LOOPBACK: Final = "127.0.0.1"
SMALLEST: Final = "\n---\n".join(
    f"apiVersion: voicefleet.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}"
    for kind, name, spec in (
        ("VoiceFleet", "local", "{}"),
        ("RelayPool", "edge", "{fleetRef: local}"),
        ("TransceiverShard", "main", "{fleetRef: local}"),
    )
)
"""What runs without a file."""
QUIT: Final = "500ms"
"""What a transceiver still waits for at Ctrl-C: everything ends within two seconds. To drain, it is asked first."""

_Spec = TypeVar("_Spec", bound=Part)


class Mounts(Protocol):
    """Lays out as files what a fleet names, and says where."""

    def secret(self, ref: SecretKeyRef) -> Path:
        """One value of a Secret."""

    def config_map(self, ref: ConfigMapRef) -> Path:
        """The directory of a ConfigMap's entries."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One fleet as its file wants it."""

    name: str
    fleet: VoiceFleetSpec
    pools: Mapping[str, RelayPoolSpec]
    shards: Mapping[str, TransceiverShardSpec]
    remarks: tuple[str, ...]
    """What local mode does not do, for the user to know."""


def wanted(file: FleetFile) -> Wanted:
    """The fleet of a file that has no errors."""
    fleets = _specs(file, "VoiceFleet", VoiceFleetSpec)
    if len(fleets) != 1:
        found = "none" if not fleets else ", ".join(fleets)
        raise Failure(
            f"local mode runs one VoiceFleet, and the file has {found}",
            "leave one VoiceFleet in the file",
            Exit.INVALID,
        )
    ((name, fleet),) = fleets.items()
    pools = {key: spec for key, spec in _specs(file, "RelayPool", RelayPoolSpec).items() if spec.fleet_ref == name}
    shards = _specs(file, "TransceiverShard", TransceiverShardSpec)
    shards = {key: spec for key, spec in shards.items() if spec.fleet_ref == name}
    remarks = [each.sentence() for each in file.findings if each.warning]
    remarks += [f"{each.title} is not followed: local mode does not scale" for each in file.objects if _scales(each)]
    remarks += [f"RelayPool {key}: DaemonSet means one relay here" for key in pools if pools[key].workload != _POD_SET]
    return Wanted(name, fleet, pools, shards, tuple(remarks))


_POD_SET: Final = "Deployment"


def _scales(each: object) -> bool:
    return getattr(each, "kind", "") == "ScalingPolicy"


def _specs(file: FleetFile, kind: str, model: type[_Spec]) -> dict[str, _Spec]:
    return {each.name: each.spec for each in file.objects if each.kind == kind and isinstance(each.spec, model)}


def groups(want: Wanted, mounts: Mounts, host: str) -> tuple[Group, ...]:
    """The processes of a fleet; relays are reached at `host`."""
    common = {Env.LOG_LEVEL: want.fleet.log_level, Env.LOG_FORMAT: "text"}
    made = [_transceivers(name, want, common, mounts) for name in want.shards]
    made += [_relays(name, want, common, host) for name in want.pools]
    return (*made, Group("signaling", Component.SIGNALING, 1, common | _signaling(want.fleet), overlaps=False))


def _relays(name: str, want: Wanted, common: Mapping[str, str], host: str) -> Group:
    spec = want.pools[name]
    environment = {
        **common,
        Env.POOL: name,
        Env.REGION: spec.region,
        Env.ICE_TCP: str(spec.expose.tcp).lower(),
        Env.HOP_NETWORKS: f"{LOOPBACK}/32",
        Env.DATAPATH: "Userspace",  # nothing on this machine's interfaces is changed
        Env.WORKERS: "1",
        Env.DRAIN_DEADLINE: duration(spec.drain.deadline),
        Env.MAX_FLOWS: str(spec.limits.flows),
        Env.FLOW_IDLE: duration(spec.limits.idle),
        Env.PUBLIC_ADDRESSES: host,
        **_place(spec.location),
    }
    replicas = spec.replicas if spec.workload == _POD_SET else 1
    return Group(
        f"{name}-relay", Component.RELAY, replicas, environment, spec.drain.deadline, first_port=spec.expose.port
    )


def _transceivers(name: str, want: Wanted, common: Mapping[str, str], mounts: Mounts) -> Group:
    spec = want.shards[name]
    environment = {
        **common,
        Env.SHARD: name,
        Env.REGION: spec.region,
        Env.SESSIONS: str(spec.sessions_per_replica),
        Env.WORKERS: "1",
        Env.HOP_LISTEN: f"{LOOPBACK}:0",
        Env.DRAIN_DEADLINE: QUIT,
        **_agent(want.fleet, mounts),
        **traces_environment(want.fleet.monitoring),
        **_place(spec.location),
    }
    return Group(f"{name}-transceiver", Component.TRANSCEIVER, spec.replicas, environment, spec.drain.deadline)


def _agent(fleet: VoiceFleetSpec, mounts: Mounts) -> dict[str, str]:
    agent = fleet.agent
    environment = {Env.AGENT: agent.type.lower()}
    if agent.realtime is not None:
        environment |= realtime_environment(agent.realtime)
        if agent.realtime.api_key_secret_ref is not None:
            environment[Env.REALTIME_KEY_FILE] = str(mounts.secret(agent.realtime.api_key_secret_ref))
    if agent.python is not None:
        environment |= python_environment(agent.python)
        if agent.python.config_map_ref is not None:
            environment[Env.PYTHON_AGENT_PATH] = str(mounts.config_map(agent.python.config_map_ref))
            environment[Env.PYTHON_AGENT_RELOAD] = "true"
    return environment


def _signaling(fleet: VoiceFleetSpec) -> dict[str, str]:
    environment = {Env.CONSOLE: "true", Env.OPERATOR_KEYS: "local", **traces_environment(fleet.monitoring)}
    if fleet.signaling.trusted_proxies:
        environment[Env.TRUSTED_PROXIES] = ",".join(fleet.signaling.trusted_proxies)
    if fleet.geo.networks:
        known = [each.model_dump(mode="json", by_alias=True) for each in fleet.geo.networks]
        environment[Env.GEO_NETWORKS] = json.dumps(known)
    if fleet.geo.allowed_regions:
        environment[Env.ALLOWED_REGIONS] = ",".join(fleet.geo.allowed_regions)
    if fleet.geo.default_region:
        environment[Env.DEFAULT_REGION] = fleet.geo.default_region
    return environment


def _place(location: Location | None) -> dict[str, str]:
    return {} if location is None else {Env.PLACE: f"{location.latitude:g},{location.longitude:g}"}
