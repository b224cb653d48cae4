"""A local fleet: looks at what is wanted and what runs, does what `reconcile` decides, and looks again."""

import asyncio
import errno
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

import aiohttp

from voicefleet.cli.failure import Failure
from voicefleet.cli.local.key_material import KeyMaterial
from voicefleet.cli.local.processes import Process, StartError, Supervisor
from voicefleet.cli.local.reconcile import Group, Instance, Revision, decide
from voicefleet.cli.local.seats import Seats
from voicefleet.contract import Component, Env, InternalApi
from voicefleet.net.key_file import KeyFile
from voicefleet.net.local_requests import Request

RACES: Final = 5
"""How often a port that was free when it was chosen may be taken by somebody else before the process has it."""
LOOK_AT_CALLS: Final = 0.5
"""Seconds between questions to a draining transceiver for how many calls it still has."""
KEEPS_ENDING: Final = 5.0
"""Seconds beyond its deadline after which a draining process is ended whatever it does."""


class LocalFleet:
    """Runs until cancelled. `want` may be called at any time."""

    def __init__(
        self,
        material: KeyMaterial,
        seats: Seats,
        supervisor: Supervisor,
        fixed: dict[str, dict[str, str]],
        say: Callable[[str], None],
        on_settled: Callable[[], None],
        flush: Callable[[], Awaitable[None]],
    ) -> None:
        """`flush` empties the session map; `fixed` are settings of this run, by component, that no file changes."""
        self._material = material
        self._seats = seats
        self._supervisor = supervisor
        self._fixed = fixed
        self._say = say
        self._on_settled = on_settled
        self._flush = flush
        self._wanted: dict[str, Group] = {}
        self._instances: dict[str, Instance] = {}
        self._groups: dict[str, Group] = {}
        """Of each instance, as it was when it was started."""
        self._numbers: Counter[str] = Counter()
        self._failed: set[tuple[str, Revision]] = set()
        self._settled_once = False
        self._races = 0
        self._began = time.monotonic()
        self._look = asyncio.Event()

    def want(self, groups: Sequence[Group]) -> None:
        """What should run from now on."""
        self._wanted = {group.name: group for group in groups}
        self._failed.clear()
        self._look.set()

    def relays(self) -> tuple[str, ...]:
        """Public addresses of the relays that take calls."""
        return tuple(
            self._seats.relay(self._groups[each.name], each)
            for each in self._instances.values()
            if self._groups[each.name].component == Component.RELAY and not each.draining
        )

    async def run(self) -> None:
        """Do what is to be done, whenever something has changed."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._requests(tasks))
            while True:
                self._look.clear()
                decision = decide([*self._wanted.values()], self._instances.values())
                starts = [each for each in decision.start if (each[0].name, each[0].revision) not in self._failed]
                for group, slot in starts:
                    self._start(group, slot, tasks)
                for instance in decision.drain:
                    self._instances[instance.name] = replace(instance, draining=True)
                    tasks.create_task(self._drain(instance))
                if not starts and not decision.drain and self._quiet():
                    self._settled_once = True
                    self._on_settled()
                await self._look.wait()

    async def _requests(self, tasks: asyncio.TaskGroup) -> None:
        """Do what somebody asks for; what is missing then is started."""
        while True:
            for request, name in self._material.requests.take():
                instance = self._instances.get(name)
                if request is Request.FLUSH:
                    await self._flush()
                    self._say("the session map was emptied")
                elif instance is not None and request is Request.KILL:
                    self._supervisor.kill(name)
                elif instance is not None and not instance.draining:
                    self._instances[name] = replace(instance, draining=True)
                    tasks.create_task(self._drain(instance))
                    self._look.set()
            await asyncio.sleep(LOOK_AT_CALLS)

    def _quiet(self) -> bool:
        return all(each.ready or each.draining for each in self._instances.values())

    def _start(self, group: Group, slot: int, tasks: asyncio.TaskGroup) -> None:
        self._numbers[group.name] += 1
        instance = Instance(group.name, slot, self._numbers[group.name], group.revision)
        self._instances[instance.name] = instance
        self._groups[instance.name] = group
        try:
            process = self._process(group, instance)
        except Failure as failure:  # a port is taken
            self._gave_up(group, instance, failure)
            return
        tasks.create_task(self._live(group, instance, process))

    async def _live(self, group: Group, instance: Instance, process: Process) -> None:
        def ready() -> None:
            self._instances[instance.name] = replace(self._instances[instance.name], ready=True)
            self._say(f"{instance.name} is ready ({time.monotonic() - self._began:.1f} s)")
            self._look.set()

        try:
            await self._supervisor.run(process, ready)
        except StartError as error:
            if os.strerror(errno.EADDRINUSE).lower() in str(error).lower() and self._races < RACES:
                self._races += 1
                self._seats.forget(group, instance)
                self._forget(instance)
            else:
                self._gave_up(group, instance, error)
        else:
            self._say(f"{instance.name} has ended")
            self._forget(instance)

    def _gave_up(self, group: Group, instance: Instance, error: Exception) -> None:
        """A fleet that never was ends here; one that runs goes on as it is."""
        self._forget(instance)
        if not self._settled_once:
            raise error
        self._failed.add((group.name, group.revision))
        said = error.sentence() if isinstance(error, Failure) else str(error)
        self._say(f"{said}\n{group.name} stays as it was until the file changes")

    def _forget(self, instance: Instance) -> None:
        self._instances.pop(instance.name, None)
        self._groups.pop(instance.name, None)
        self._look.set()

    async def _drain(self, instance: Instance) -> None:
        group = self._groups[instance.name]
        deadline = time.monotonic() + group.drain
        if group.component == Component.TRANSCEIVER:
            await self._until_empty(group, instance, deadline)
        elif group.component == Component.RELAY:
            self._say(f"{instance.name} drains, for at most {group.drain:g} s")
        self._supervisor.retire(instance.name)
        while instance.name in self._instances:
            if time.monotonic() > deadline + KEEPS_ENDING:
                self._supervisor.kill(instance.name)
            await asyncio.sleep(LOOK_AT_CALLS)

    async def _until_empty(self, group: Group, instance: Instance, deadline: float) -> None:
        """Ask a transceiver to take no more calls, and wait until it has none."""
        api = self._seats.api_url(group, instance)
        bearer = KeyFile(self._material.key_file).value.minting(time.time()).api_bearer
        said = -1
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {bearer}"}) as http:
            while time.monotonic() < deadline and instance.name in self._instances:
                try:
                    async with http.post(api + InternalApi.DRAIN) as answer:
                        calls = int((await answer.json())["calls"])
                except (aiohttp.ClientError, OSError, ValueError, KeyError):
                    return  # it is gone, and with it its calls
                if not calls:
                    return
                if calls != said:
                    self._say(f"{instance.name} drains, for at most {group.drain:g} s; calls left: {calls}")
                    said = calls
                await asyncio.sleep(LOOK_AT_CALLS)

    def _process(self, group: Group, instance: Instance) -> Process:
        material = self._material
        environment = {
            Env.KEY_FILE: str(material.key_file),
            Env.POD: instance.name,
            "PYTHONUNBUFFERED": "1",
            **self._fixed.get("", {}),
            **self._fixed.get(group.component, {}),
            **group.template,
            **self._seats.environment(group, instance),
        }
        if group.component == Component.TRANSCEIVER:
            environment[Env.CERTIFICATE_DIRECTORY] = str(material.certificate)
        if group.component == Component.SIGNALING:
            environment[Env.API_KEYS_DIRECTORY] = str(material.api_keys)
            environment[Env.LOCAL_REQUESTS] = str(material.requests_directory)
        inherited = {key: "" for key in os.environ if key.startswith(Env.PREFIX)}  # an empty variable counts as not set
        return Process(
            instance.name,
            f"voicefleet.services.{group.component}",
            {**inherited, **environment},
            self._seats.ready_url(group, instance),
        )
