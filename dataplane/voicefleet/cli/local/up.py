"""`voicefleet up`: start what the file says, say where it is, follow the file, keep all running until Ctrl-C."""

import asyncio
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from voicefleet.cli.failure import Exit, Failure
from voicefleet.cli.local import lan, ready_file
from voicefleet.cli.local.desired import LOOPBACK, SMALLEST, Wanted, groups, wanted
from voicefleet.cli.local.fleet import LocalFleet
from voicefleet.cli.local.followed_file import FollowedFile
from voicefleet.cli.local.key_material import make_key_material
from voicefleet.cli.local.nursery import Nursery
from voicefleet.cli.local.processes import StartError, Supervisor
from voicefleet.cli.local.seats import Seats, free_port, require_free
from voicefleet.cli.output import say
from voicefleet.cli.resources.fleet_file import FleetFile, parse
from voicefleet.contract import Component, Env
from voicefleet.net.embedded_redis import EmbeddedRedis, EmbeddedRedisError, embedded_redis
from voicefleet.net.redis_library import Redis
from voicefleet_operator.api.parts import SecretKeyRef
from voicefleet_operator.api.voice_fleet import ConfigMapRef

PREFIX: Final = "voicefleet-up-"
STAYS: Final = "the fleet stays as it was"


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What the command line says."""

    file: Path | None
    port: int
    ready_file: Path | None
    lan: bool
    lan_address: str
    agent: str = ""
    """`FILE.py:CLASS`, instead of what the file says."""
    agent_python: Path | None = None
    """The Python that it runs by."""


def up(options: UpOptions, nursery: Nursery) -> None:
    """Run until SIGINT or SIGTERM; raises `Failure` when it cannot."""
    followed = FollowedFile(options.file) if options.file is not None else None
    file = followed.read() if followed is not None else parse(SMALLEST)
    refuse(file, options.file)
    want = wanted(file)
    _require_parts(want)
    if options.ready_file is not None and not options.ready_file.parent.is_dir():
        raise Failure(
            f"--ready-file {options.ready_file}: there is no folder {options.ready_file.parent}",
            "make it first",
            Exit.INVALID,
        )
    with _directory() as directory:
        problems: list[Exception] = []
        run = _Run(options, directory, want, file, nursery)
        try:
            asyncio.run(run.run(followed))
        except* (StartError, EmbeddedRedisError, Failure) as group:
            problems += list(_leaves(group))
        finally:
            for path in run.ready_files:
                path.unlink(missing_ok=True)
        for problem in problems:
            raise problem if isinstance(problem, Failure) else Failure(str(problem)) from None


def refuse(file: FleetFile, path: Path | None) -> None:
    """Say everything that is wrong with a file, and end if there is anything."""
    if file.errors:
        raise Failure("\n            ".join(explained(file, path)), "mend the file", Exit.INVALID)


def _require_parts(want: Wanted) -> None:
    """A fleet that is only ever waiting for its parts would not say why it does not become ready."""
    missing = [
        kind
        for kind, parts in (("RelayPool", want.pools), ("TransceiverShard", want.shards))
        if not any(part.replicas for part in parts.values())
    ]
    if missing:
        raise Failure(
            f"the file has no {' and no '.join(missing)} with replicas for the fleet {want.name}: nobody could call it",
            f"add one with spec.fleetRef: {want.name}",
            Exit.INVALID,
        )


def explained(file: FleetFile, path: Path | None) -> list[str]:
    """The errors of a file, each in a line with its place."""
    return [f"{path}:{each.place.line}:{each.place.column}: {each.sentence()}" for each in file.errors]


class _Run:
    """One run of the command."""

    def __init__(self, options: UpOptions, directory: Path, want: Wanted, file: FleetFile, nursery: Nursery) -> None:
        self._options = options
        self._want = want
        self._file = file
        self._host = lan.address(options.lan_address) if options.lan else LOOPBACK
        self._port = options.port or free_port(self._host, socket.SOCK_STREAM)
        if options.port:
            require_free(
                self._host, options.port, socket.SOCK_STREAM, "signaling", "give another one with --port, or --port 0"
            )
        self._material = make_key_material(directory, want.name)
        self._redis: EmbeddedRedis | None = None
        self._supervisor = Supervisor(directory, say, nursery)
        self._fleet = LocalFleet(
            self._material, Seats(self._host), self._supervisor, self._fixed(), say, self._on_settled, self._flush
        )
        self._agent = _python_agent(options.agent, options.agent_python) if options.agent else {}
        self._announced = False
        self.ready_files = [ready_file.directory() / f"{os.getpid()}.json"]
        if options.ready_file is not None:
            self.ready_files.append(options.ready_file)

    async def run(self, followed: FollowedFile | None) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with embedded_redis() as self._redis, asyncio.TaskGroup() as tasks:
            say("session map is ready (embedded Redis)")
            self._material.write_redis_url(self._redis.url)
            self._follow(self._want)
            background = [tasks.create_task(self._fleet.run())]
            if followed is not None:
                background.append(tasks.create_task(self._watch(followed)))
            await stop.wait()
            say("ending")
            for task in background:
                task.cancel()

    async def _watch(self, followed: FollowedFile) -> None:
        async for _ in followed.changes():
            try:
                old = {(each.kind, each.name): each.document for each in self._file.objects}
                file = followed.read(old)
                refuse(file, self._options.file)
                want = wanted(file)
                if want.name != self._want.name:
                    raise Failure(f"the fleet's name was {self._want.name} and is {want.name}", "start it anew")
                self._file = file
                self._follow(want)
            except Failure as failure:
                say(f"{failure.sentence()}; {STAYS}")

    def _follow(self, want: Wanted) -> None:
        made = groups(want, self, self._host)
        if self._options.agent:
            made = tuple(
                replace(each, template={**each.template, **self._agent})
                if each.component == Component.TRANSCEIVER
                else each
                for each in made
            )
        self._material.write_api_keys(self._file.secrets.get(_api_keys(want), {}))
        for remark in want.remarks:
            if remark not in self._want.remarks or not self._announced:
                say(f"note: {remark}")
        self._want = want
        self._fleet.want(made)

    def secret(self, ref: SecretKeyRef) -> Path:
        """As a file."""
        value = self._file.secrets.get(ref.name, {}).get(ref.key)
        if value is None:
            raise Failure(
                f"the Secret {ref.name} with the key {ref.key} is not in the file",
                "add it as an object of kind Secret: local mode has no other place for Secrets",
                Exit.INVALID,
            )
        return self._material.write_secret(ref.name, ref.key, value)

    def config_map(self, ref: ConfigMapRef) -> Path:
        """As a directory."""
        files = self._file.config_maps.get(ref.name)
        if files is None:
            raise Failure(
                f"the ConfigMap {ref.name} is not in the file",
                f"add what kubectl create configmap {ref.name} --from-file=... --dry-run=client -o yaml prints,"
                " or name your file with --agent",
                Exit.INVALID,
            )
        return self._material.write_config_map(ref.name, files)

    def _fixed(self) -> dict[str, dict[str, str]]:
        signaling = {Env.SIGNALING_LISTEN: f"{self._host}:{self._port}"}
        if self._options.lan:
            signaling[Env.TLS_DIRECTORY] = str(lan.make_certificate(self._material.directory, self._host))
        return {
            "": {Env.REDIS_URL_FILE: str(self._material.redis_url_file)},
            Component.SIGNALING: signaling,
        }

    async def _flush(self) -> None:
        assert self._redis is not None, "flushed before it was there"
        async with Redis.from_url(self._redis.url) as client:
            await client.flushall()

    def _on_settled(self) -> None:
        """All that is wanted runs."""
        url = f"{'https' if self._options.lan else 'http'}://{self._host}:{self._port}"
        ready = ready_file.ReadyFile(
            fleet=self._want.name,
            pid=os.getpid(),
            base_url=f"{url}/v1",
            api_key=self._material.api_key,
            console=f"{url}/#key={self._material.api_key}",  # what stands behind the # stays in the browser
            key_file=self._material.key_file,
            relays=self._fleet.relays(),
            processes={"session-map": self._redis.pid if self._redis is not None else 0, **self._supervisor.pids},
            logs=str(self._material.directory),
            certificate=str(lan.certificate(self._material.directory)) if self._options.lan else "",
        )
        for path in self.ready_files:
            ready.write(path)
        if self._announced:
            say("the fleet is as its file wants it")
            return
        self._announced = True
        say(f"API for clients: {ready.base_url}, key {ready.api_key}")
        if self._options.lan:
            say(lan.qr_code(ready.console))
            say("The certificate is self-signed: a phone asks once whether to trust it.")
        say(f"Talk to it: {ready.console} (Ctrl-C ends the fleet)")


def _python_agent(named: str, interpreter: Path | None) -> dict[str, str]:
    """The settings of a transceiver whose agent is a class in a file."""
    file, _, name = named.rpartition(":")
    path = Path(file)
    if not (path.suffix == ".py" and path.stem.isidentifier() and name.isidentifier()):
        raise Failure(
            f"--agent {named} is no FILE.py:CLASS", "name a file and a class in it, as parrot.py:Parrot", Exit.USAGE
        )
    if not path.is_file():
        raise Failure(f"there is no file {path}", "name the file of your agent", Exit.INVALID)
    if interpreter is not None and not os.access(interpreter, os.X_OK):
        raise Failure(f"--agent-python {interpreter} is no program", "name the python of an environment", Exit.INVALID)
    return {
        Env.AGENT: "python",
        Env.PYTHON_AGENT: f"{path.stem}:{name}",
        Env.PYTHON_AGENT_PATH: str(path.parent.resolve()),
        Env.PYTHON_AGENT_RELOAD: "true",
        # Not resolved: a virtual environment's python is a link, and knows itself by where the link is.
        Env.PYTHON_AGENT_INTERPRETER: str(interpreter.absolute()) if interpreter is not None else "",
    }


def _api_keys(want: Wanted) -> str:
    ref = want.fleet.signaling.api_keys_secret_ref
    return ref.name if ref is not None else ""


@contextmanager
def _directory() -> Iterator[Path]:
    """A directory of this run; what runs that were killed left behind is removed first."""
    above = Path(tempfile.gettempdir())
    for left in above.glob(f"{PREFIX}{os.getuid()}-*"):
        pid = left.name.split("-")[3]
        if pid.isdigit() and not ready_file.alive(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getuid()}-{os.getpid()}-") as name:
        yield Path(name)


def _leaves(group: BaseExceptionGroup[Exception]) -> Iterator[Exception]:
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            yield from _leaves(each)
        else:
            yield each
