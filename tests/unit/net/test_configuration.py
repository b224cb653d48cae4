"""What an SRE reads when a setting is wrong, and that everything right is read right."""

import json
import subprocess
import sys
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, SecretStr, model_validator

from voicefleet.contract import Env
from voicefleet.core.place import Place
from voicefleet.net.configuration import ConfigurationError, Settings, load
from voicefleet.net.redis_target import RedisTarget
from voicefleet.net.service_settings import ServiceSettings
from voicefleet.net.setting_types import (
    Address,
    Duration,
    ExistingDirectory,
    ExistingFile,
    HostPort,
    Network,
    PlaceSetting,
    RedisUrl,
    format_duration,
    parse_duration,
    parse_host_port,
)
from voicefleet.net.settings_reference import reference


class Datapath(StrEnum):
    AUTO = "Auto"
    KERNEL = "Kernel"


class Echo(Settings):
    type: Literal["Echo"]


class Realtime(Settings):
    type: Literal["Realtime"]
    url: str
    api_key: SecretStr | None = None


class Geo(Settings):
    database: ExistingFile | None = None
    """A database in MaxMind's format."""
    networks: Annotated[dict[str, PlaceSetting], Field(default_factory=dict)]
    """Configured networks."""


class Relay(Settings):
    """A relay for the tests."""

    pool: Annotated[str, Field(pattern=r"^[a-z0-9-]+$", max_length=20)]
    """The pool it belongs to."""
    listen: Address = HostPort("0.0.0.0", 3478)
    """Where clients arrive."""
    workers: Annotated[int, Field(ge=1, le=64)] = 2
    hop_networks: Annotated[tuple[Network, ...], Field(min_length=1)] = (ip_network("10.0.0.0/8"),)
    """Where tokens may point."""
    drain_deadline: Annotated[Duration, Field(ge=1, le=86400)] = 1800.0
    place: PlaceSetting | None = None
    datapath: Datapath = Datapath.AUTO
    ice_tcp: bool = True
    load_limit: Annotated[float, Field(gt=0, le=1)] = 0.9
    redis_url: RedisUrl | None = None
    api_key: SecretStr | None = None
    geo: Geo = Geo(networks={})
    agent: Annotated[Echo | Realtime, Field(discriminator="type")] = Echo(type="Echo")
    certificates: ExistingDirectory | None = None

    @model_validator(mode="after")
    def _kernel_needs_udp(self) -> "Relay":
        if self.datapath is Datapath.KERNEL and self.workers > 32:
            raise ValueError("VOICEFLEET_WORKERS is above 32, which the kernel data path does not take")
        return self


def loaded(**environment: str) -> Relay:
    return load(Relay, {"VOICEFLEET_POOL": "fra", **{f"VOICEFLEET_{k.upper()}": v for k, v in environment.items()}})


def problems(environment: dict[str, str], file: Path | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        load(Relay, environment, file)
    return caught.value.problems


def problem(**environment: str) -> str:
    (text,) = problems({"VOICEFLEET_POOL": "fra", **{f"VOICEFLEET_{k.upper()}": v for k, v in environment.items()}})
    return text


def test_everything_can_come_from_the_environment(tmp_path: Path) -> None:
    database = tmp_path / "geo.mmdb"
    database.touch()
    settings = loaded(
        listen="[::]:30478",
        workers="8",
        hop_networks="10.1.0.0/16, fd00::/8",
        drain_deadline="1h30m",
        place="50.1,8.7",
        datapath="Kernel",
        ice_tcp="false",
        load_limit="0.5",
        redis_url="rediss://:hush@redis:6379/1",
        geo__database=str(database),
        geo__networks='{"10.0.0.0/8": {"latitude": 1, "longitude": 2}}',
        agent='{"type": "Realtime", "url": "wss://model", "apiKey": "sk"}',
        certificates=str(tmp_path),
    )
    assert settings == Relay(
        pool="fra",
        listen=HostPort("::", 30478),
        workers=8,
        hop_networks=(ip_network("10.1.0.0/16"), ip_network("fd00::/8")),
        drain_deadline=5400.0,
        place=Place(50.1, 8.7),
        datapath=Datapath.KERNEL,
        ice_tcp=False,
        load_limit=0.5,
        redis_url=SecretStr("rediss://:hush@redis:6379/1"),
        geo=Geo(database=database, networks={"10.0.0.0/8": Place(1, 2)}),
        agent=Realtime(type="Realtime", url="wss://model", api_key=SecretStr("sk")),
        certificates=tmp_path,
    )


def test_a_list_may_begin_with_an_ipv6_address(tmp_path: Path) -> None:
    class Listener(Settings):
        listen: tuple[Address, ...]

    for text in ("[::1]:3478,127.0.0.1:3478", '["[::1]:3478", "127.0.0.1:3478"]'):
        settings = load(Listener, {"VOICEFLEET_LISTEN": text})
        assert settings.listen == (HostPort("::1", 3478), HostPort("127.0.0.1", 3478))


def test_a_file_is_spelled_as_custom_resources_are_and_the_environment_wins(tmp_path: Path) -> None:
    file = tmp_path / "relay.yaml"
    file.write_text(
        "pool: fra\nhopNetworks: [10.2.0.0/16]\ndrainDeadline: 5m\nworkers: 3\n"
        "place: {latitude: 50.1, longitude: 8.7}\ngeo:\n  networks: {10.0.0.0/8: '1,2'}\n"
        "agent: {type: Realtime, url: wss://model, apiKey: sk}\n"
    )
    settings = load(Relay, {"VOICEFLEET_WORKERS": "4", "VOICEFLEET_HOP_NETWORKS": "", "HOME": "/root"}, file)
    assert (settings.pool, settings.workers, settings.drain_deadline) == ("fra", 4, 300.0)
    assert settings.hop_networks == (ip_network("10.2.0.0/16"),)
    assert settings.geo.networks == {"10.0.0.0/8": Place(1, 2)}
    assert settings.agent == Realtime(type="Realtime", url="wss://model", api_key=SecretStr("sk"))


def test_the_environment_reaches_into_a_nested_part_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "geo.mmdb").touch()
    file = tmp_path / "relay.yaml"
    file.write_text("pool: fra\ngeo: {networks: {10.0.0.0/8: '1,2'}}\n")
    settings = load(Relay, {"VOICEFLEET_GEO__DATABASE": str(tmp_path / "geo.mmdb")}, file)
    assert settings.geo == Geo(database=tmp_path / "geo.mmdb", networks={"10.0.0.0/8": Place(1, 2)})


def test_a_secret_may_come_from_the_file_that_kubernetes_mounts(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-hush\n")
    settings = loaded(api_key_file=str(tmp_path / "key"))
    assert settings.api_key is not None and settings.api_key.get_secret_value() == "sk-hush"
    file = tmp_path / "relay.yaml"
    file.write_text(f"pool: fra\napiKeyFile: {tmp_path / 'key'}\n")
    assert load(Relay, {}, file).api_key == SecretStr("sk-hush")


RANGE = "a whole number, at least 1, at most 64"
ADDRESS = "host:port such as 0.0.0.0:8088, [::]:8088 or :8088"
AN_ADDRESS = f"; allowed: {ADDRESS}."
NOT_THERE = "which cannot be read (No such file or directory)"
SPAN = "a duration such as 250ms, 90s, 30m or 1h30m, at least 1 s, at most 86400 s"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("workers", "x", f"VOICEFLEET_WORKERS is 'x'; allowed: {RANGE}."),
        ("workers", "65", f"VOICEFLEET_WORKERS is '65'; allowed: {RANGE}."),
        ("listen", "3478", f"VOICEFLEET_LISTEN is '3478', which names no port; allowed: {ADDRESS}."),
        ("listen", "::1:8", f"VOICEFLEET_LISTEN is '::1:8', which needs brackets around the IPv6 address{AN_ADDRESS}"),
        ("listen", "a:70000", f"VOICEFLEET_LISTEN is 'a:70000', whose port is not from 0 to 65535{AN_ADDRESS}"),
        ("drain_deadline", "30", f"VOICEFLEET_DRAIN_DEADLINE is '30', which has no unit; allowed: {SPAN}."),
        ("drain_deadline", "2d", f"VOICEFLEET_DRAIN_DEADLINE is '2d'; allowed: {SPAN}."),
        (
            "hop_networks",
            "10.0.0.0/8,10.0.0.1/8",
            "VOICEFLEET_HOP_NETWORKS[1] is '10.0.0.1/8', which is an address inside of 10.0.0.0/8; "
            "allowed: a network such as 10.0.0.0/8 or fd00::/8.",
        ),
        (
            "hop_networks",
            ",",
            "VOICEFLEET_HOP_NETWORKS is a list; allowed: a list of which each is a network such as 10.0.0.0/8 or "
            "fd00::/8, at least 1 items.",
        ),
        ("datapath", "auto", "VOICEFLEET_DATAPATH is 'auto'; allowed: one of Auto, Kernel."),
        ("ice_tcp", "maybe", "VOICEFLEET_ICE_TCP is 'maybe'; allowed: true or false."),
        ("load_limit", "0", "VOICEFLEET_LOAD_LIMIT is '0'; allowed: a number, more than 0, at most 1."),
        (
            "place",
            "91,0",
            "VOICEFLEET_PLACE is '91,0', whose latitude is not from -90 to 90; "
            "allowed: latitude,longitude in degrees such as 50.1,8.7.",
        ),
        (
            "certificates",
            "/nowhere",
            "VOICEFLEET_CERTIFICATES is '/nowhere', which cannot be read (No such file or directory); "
            "allowed: the path of a directory that exists.",
        ),
        (
            "geo__database",
            "/",
            "VOICEFLEET_GEO__DATABASE is '/', which is not a file; allowed: the path of a file that exists.",
        ),
        ("pool", "a b", "VOICEFLEET_POOL is 'a b'; allowed: text of the form ^[a-z0-9-]+$, at most 20 characters."),
        ("agent", '{"type": ', "VOICEFLEET_AGENT is not JSON (value not shown)."),
        ("agent", '{"type": "Echo", "ulr": 1}', "VOICEFLEET_AGENT.Echo.ulr is unknown."),
        ("workerz", "1", "VOICEFLEET_WORKERZ is unknown; did you mean VOICEFLEET_WORKERS?"),
        ("geo__databas", "x", "VOICEFLEET_GEO__DATABAS is unknown; did you mean VOICEFLEET_GEO__DATABASE?"),
        ("api_key_file", "/nowhere", f"VOICEFLEET_API_KEY_FILE is '/nowhere', {NOT_THERE}."),
    ],
)  # fmt: skip
def test_an_error_names_the_variable_its_value_and_what_is_allowed(name: str, value: str, sentence: str) -> None:
    assert problem(**{name: value}) == sentence


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "relay.yaml"
    file.write_text("workers: none\nhopNetwork: [10.0.0.0/8]\ngeo: {databas: x}\nlisten: ':x'\n")
    assert set(problems({"VOICEFLEET_PLACE": "north"}, file)) == {
        "VOICEFLEET_POOL (or pool in relay.yaml) is missing; "
        "allowed: text of the form ^[a-z0-9-]+$, at most 20 characters.",
        f"relay.yaml: workers is 'none'; allowed: {RANGE}.",
        "relay.yaml: hopNetwork is unknown; did you mean hopNetworks?",
        "relay.yaml: geo.databas is unknown; did you mean database?",
        f"relay.yaml: listen is ':x', whose port is not from 0 to 65535; allowed: {ADDRESS}.",
        "VOICEFLEET_PLACE is 'north', which is not two numbers; "
        "allowed: latitude,longitude in degrees such as 50.1,8.7.",
    }


def test_settings_that_contradict_each_other_are_one_sentence() -> None:
    assert problem(datapath="Kernel", workers="33") == (
        "VOICEFLEET_WORKERS is above 32, which the kernel data path does not take."
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("a: [", "relay.yaml is not YAML: expected the node content, but found '<stream end>' in line 1."),
        ("pool: a\npool: b\n", "relay.yaml is not YAML: pool stands twice in line 1."),
        ("- a", "relay.yaml is not a mapping of settings to values."),
        ("1: a", "relay.yaml is not a mapping of settings to values."),
        ("pool: !!python/object:os.system {}", None),
        ("pool: a\ngeo: 3", "relay.yaml: geo is 3; allowed: a mapping."),
        ("pool: 3", "relay.yaml: pool is 3; allowed: text of the form ^[a-z0-9-]+$, at most 20 characters."),
        ("pool: a\ndrainDeadline: 30", f"relay.yaml: drainDeadline is 30, which has no unit; allowed: {SPAN}."),
    ],
)
def test_a_file_that_cannot_be_used_says_where(tmp_path: Path, content: str, sentence: str | None) -> None:
    file = tmp_path / "relay.yaml"
    file.write_text(content)
    (text,) = problems({}, file)
    assert sentence is None or text == sentence


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    (text,) = problems({}, tmp_path / "relay.yaml")
    assert text == f"VOICEFLEET_CONFIG is '{tmp_path}/relay.yaml', which cannot be read (No such file or directory)."


HUSH = "hush-4711-abcdef"


@pytest.mark.parametrize(
    "environment",
    [
        {"VOICEFLEET_REDIS_URL": f"http://:{HUSH}@redis:6379"},
        {"VOICEFLEET_REDIS_URL": f"redis+sentinel://:{HUSH}@redis:6379"},
        {"VOICEFLEET_LISTEN": f"http://me:{HUSH}@redis"},
        {"VOICEFLEET_API_KEY": HUSH, "VOICEFLEET_API_KEY_FILE": "/nowhere"},
        {"VOICEFLEET_API_KEYS": HUSH},
        {"VOICEFLEET_AGENT": json.dumps({"type": "Realtime", "apiKey": [HUSH], "url": "x"})},
        {"VOICEFLEET_AGENT": json.dumps({"type": HUSH[:3], "token": HUSH})},
        {"VOICEFLEET_AGENT": f'{{"apiKey": "{HUSH}'},
    ],
)
def test_a_secret_is_never_shown(environment: dict[str, str], tmp_path: Path) -> None:
    told = problems({"VOICEFLEET_POOL": "fra", **environment})
    assert told and HUSH not in "\n".join(told)
    file = tmp_path / "relay.yaml"
    file.write_text(f"pool: fra\nredisUrl: {{a: {HUSH}}}\nredisUlr: {HUSH}\napiKey: [{HUSH}]\n? [{HUSH}\n")
    assert HUSH not in "\n".join(problems({}, file))
    file.write_text(f"pool: fra\nredisUrl: {{a: {HUSH}}}\nredisUlr: {HUSH}\napiKey: [{HUSH}]\n")
    assert HUSH not in "\n".join(problems({}, file))
    assert HUSH not in repr(loaded(api_key=HUSH))


def test_variables_of_other_services_and_of_kubernetes_are_let_be(caplog: pytest.LogCaptureFixture) -> None:
    load(
        Relay,
        {
            "VOICEFLEET_POOL": "fra",
            Env.SHARD: "eu",
            "VOICEFLEET_LISTENER_PORT": "tcp://10.0.0.1:80",
            "VOICEFLEET_POOLS_SERVICE_HOST": "10.0.0.1",
            "VOICEFLEET_POOLS_PORT_80_TCP_ADDR": "10.0.0.1",
        },
    )
    assert caplog.text == ""


def test_a_process_with_wrong_settings_says_so_on_standard_error_and_exits_with_2() -> None:
    code = (
        "from voicefleet.net.configuration import load_or_exit\n"
        "from voicefleet.net.service_settings import ServiceSettings\n"
        "load_or_exit(ServiceSettings)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"VOICEFLEET_LOG_LEVEL": "loud", "VOICEFLEET_HEALTH_LISTEN": "x"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "VOICEFLEET_LOG_LEVEL is 'loud'; allowed: one of debug, info, warning, error.",
        f"VOICEFLEET_HEALTH_LISTEN is 'x', which names no port; allowed: {ADDRESS}.",
        "VOICEFLEET_KEY_FILE is missing; allowed: a path.",
    ]


def test_redis_is_one_of_a_url_a_file_with_one_and_nothing(tmp_path: Path) -> None:
    keys = {"VOICEFLEET_KEY_FILE": "/keys"}
    assert load(ServiceSettings, keys).redis() is None
    url, file = {"VOICEFLEET_REDIS_URL": "redis://redis"}, {"VOICEFLEET_REDIS_URL_FILE": str(tmp_path / "url")}
    assert load(ServiceSettings, keys | url).redis() == RedisTarget("redis://redis")
    assert load(ServiceSettings, keys | file).redis() == RedisTarget(file=tmp_path / "url")
    with pytest.raises(ConfigurationError, match="both set"):
        load(ServiceSettings, keys | url | file)


def test_the_settings_of_every_service_are_names_of_the_contract() -> None:
    known = {value for name, value in vars(Env).items() if name.isupper()}
    assert {f"VOICEFLEET_{name.upper()}" for name in ServiceSettings.model_fields} <= known


def test_the_reference_is_made_from_the_models() -> None:
    text = reference({"Relay": Relay})
    assert text.startswith(
        "## Relay\n\nA relay for the tests.\n\n| environment | file | allowed | default | what it is |\n"
    )
    for row in (
        "| `VOICEFLEET_POOL` | `pool` | text of the form ^[a-z0-9-]+$, at most 20 characters | **must be set** "
        "| The pool it belongs to. |",
        f"| `VOICEFLEET_LISTEN` | `listen` | {ADDRESS} | `0.0.0.0:3478` | Where clients arrive. |",
        f"| `VOICEFLEET_DRAIN_DEADLINE` | `drainDeadline` | {SPAN} | `30m` |  |",
        "| `VOICEFLEET_API_KEY` or `VOICEFLEET_API_KEY_FILE` | `apiKey` | a secret |  |  |",
        "| `VOICEFLEET_ICE_TCP` | `iceTcp` | true or false | `true` |  |",
        "| `VOICEFLEET_GEO__DATABASE` | `geo.database` | the path of a file that exists |  "
        "| A database in MaxMind's format. |",
        "| `VOICEFLEET_HOP_NETWORKS` | `hopNetworks` | a list of which each is a network such as 10.0.0.0/8 or "
        "fd00::/8, at least 1 items | `10.0.0.0/8` | Where tokens may point. |",
    ):
        assert row in text.splitlines()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("90s", 90), ("1.5h", 5400), ("1h30m", 5400), ("2d", 172800), ("0", 0), ("1m5s", 65)],
)
def test_durations_are_read_as_kubernetes_writes_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "m", "1 h", "-5s", "5", "1h 5m", "5x", "1e3s", None, True, 5])
def test_what_is_no_duration_is_refused(text: Any) -> None:
    with pytest.raises(ValueError):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":80", HostPort("0.0.0.0", 80)),
        ("[::1]:0", HostPort("::1", 0)),
        ("redis.svc:6379", HostPort("redis.svc", 6379)),
    ],
)
def test_addresses_are_read(text: str, address: HostPort) -> None:
    assert parse_host_port(text) == address
    assert parse_host_port(str(address)) == address


@pytest.mark.parametrize("text", ["", "80", "[::1:80", "[x]:80", "a:b:80", "a:", "a:-1", "a:٣", 80, None])
def test_what_is_no_address_is_refused(text: Any) -> None:
    with pytest.raises(ValueError):
        parse_host_port(text)
