"""Which processes make a local fleet, with which settings. Everything listens on loopback.

Keys and a certificate are made anew at each start, in a directory that only the user can read; calls do not outlive
their fleet. The ports of the parts that talk to each other are taken free; signaling has a known one.
"""

import os
import secrets
import socket
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from voicefleet.cli.local.processes import Process
from voicefleet.contract import Component, Env, HealthPath
from voicefleet.wire.certificate import self_signed
from voicefleet.wire.keyring import KeyRing

LOOPBACK: Final = "127.0.0.1"
FLEET: Final = "local"
DRAIN: Final = "500ms"
"""Ctrl-C ends everything in two seconds, so nobody may wait longer for calls to end."""
CERTIFICATE_LIFE: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class LocalFleet:
    """The processes in the order in which they are started, and what a user needs to call."""

    processes: tuple[Process, ...]
    base_url: str
    api_key: str
    relays: tuple[str, ...]
    """Public addresses of the relays."""

    @property
    def console(self) -> str:
        """The console page; the key behind the # stays in the browser."""
        return f"{self.base_url}/#key={self.api_key}"


def free_port(*kinds: socket.SocketKind) -> int:
    """A port that was free a moment ago; who loses the race says so when it starts, and is started again."""
    while True:
        with ExitStack() as stack:
            port = 0
            try:
                for kind in kinds:
                    probe = stack.enter_context(socket.socket(socket.AF_INET, kind))
                    probe.bind((LOOPBACK, port))
                    port = probe.getsockname()[1]
            except OSError:
                if not port:
                    raise
                continue  # free for one of them only
            return port


def local_fleet(directory: Path, signaling_port: int, redis_url: str) -> LocalFleet:
    """Make the secrets, and say which processes to run."""
    api_key = _make_secrets(directory)
    _write(directory / "keys" / "redis-url", redis_url.encode())
    transceiver_api = _free_address()
    relay = f"{LOOPBACK}:{free_port(socket.SOCK_DGRAM, socket.SOCK_STREAM)}"
    signaling_port = signaling_port or free_port(socket.SOCK_STREAM)
    base_url = f"http://{LOOPBACK}:{signaling_port}"
    processes = (
        _process(
            directory,
            "transceiver-1",
            Component.TRANSCEIVER,
            {
                Env.HOP_LISTEN: f"{LOOPBACK}:0",
                Env.API_LISTEN: transceiver_api,
                Env.CERTIFICATE_DIRECTORY: str(directory / "certificate"),
                Env.WORKERS: "1",
                Env.DRAIN_DEADLINE: DRAIN,
            },
        ),
        _process(
            directory,
            "relay-1",
            Component.RELAY,
            {
                Env.LISTEN: relay,
                Env.ICE_TCP: "true",
                Env.HOP_NETWORKS: f"{LOOPBACK}/32",
                Env.DATAPATH: "Userspace",  # nothing on this machine's interfaces is changed
                Env.WORKERS: "1",
                Env.DRAIN_DEADLINE: DRAIN,
            },
        ),
        _process(
            directory,
            "signaling-1",
            Component.SIGNALING,
            {
                Env.SIGNALING_LISTEN: f"{LOOPBACK}:{signaling_port}",
                Env.API_KEYS_DIRECTORY: str(directory / "api-keys"),
                Env.CONSOLE: "true",
                Env.OPERATOR_KEYS: "local",
            },
        ),
    )
    return LocalFleet(processes, base_url, api_key, (relay,))


def _make_secrets(directory: Path) -> str:
    now = time.time()
    for name in ("keys", "certificate", "api-keys"):
        (directory / name).mkdir(mode=0o700, exist_ok=True)
    certificate, private = self_signed(now, CERTIFICATE_LIFE)
    api_key = f"vf-{secrets.token_urlsafe(24)}"
    _write(directory / "keys" / "keyring.json", KeyRing.generate(FLEET, now, secrets.token_bytes).dump())
    _write(directory / "certificate" / "tls.crt", certificate)
    _write(directory / "certificate" / "tls.key", private)
    _write(directory / "api-keys" / "local", api_key.encode())
    return api_key


def _write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)


def _process(directory: Path, name: str, component: str, environment: Mapping[str, str]) -> Process:
    health = _free_address()
    common = {
        Env.KEY_FILE: str(directory / "keys" / "keyring.json"),
        Env.REDIS_URL_FILE: str(directory / "keys" / "redis-url"),
        Env.HEALTH_LISTEN: health,
        Env.POD: name,
        Env.LOG_FORMAT: "text",
        "PYTHONUNBUFFERED": "1",
    }
    inherited = {key: "" for key in os.environ if key.startswith(Env.PREFIX)}  # an empty variable counts as not set
    return Process(
        name,
        f"voicefleet.services.{component}",
        {**inherited, **common, **environment},
        f"http://{health}{HealthPath.READY}",
    )


def _free_address() -> str:
    return f"{LOOPBACK}:{free_port(socket.SOCK_STREAM)}"
