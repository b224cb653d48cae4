"""What a local fleet should do next, from what is wanted and what runs. Pure.

As the operator's: it looks at the whole each time, so what happened in between does not matter. Processes of an old
template are replaced as a rollout does it (the new one first, where two can be), surplus ones drain, and nothing is
ended that still has to carry calls.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Group:
    """Processes of one kind: a pool's relays, a shard's transceivers, signaling."""

    name: str
    component: str
    replicas: int
    template: Mapping[str, str]
    """The environment that all of them have."""
    drain: float = 0.0
    """Seconds that live calls may go on when a process has to go."""
    first_port: int | None = None
    """The public port of the first one, if the file names it; the next ones count on."""
    overlaps: bool = True
    """Whether a new process can stand beside the one that it replaces."""

    @property
    def revision(self) -> "Revision":
        """What a process would have to be started anew for."""
        return Revision(tuple(sorted(self.template.items())), self.first_port)


class Revision(NamedTuple):
    """What a process was started with."""

    template: tuple[tuple[str, str], ...]
    first_port: int | None


@dataclass(frozen=True, slots=True)
class Instance:
    """One process as it runs."""

    group: str
    slot: int
    """From 1; one of the group's. A replacement takes its predecessor's."""
    number: int
    """From 1; never given twice, so that names are not mistaken."""
    revision: Revision
    ready: bool = False
    draining: bool = False

    @property
    def name(self) -> str:
        """As the directory and the logs call it."""
        return f"{self.group}-{self.number}"


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now; when it is done, look again."""

    start: tuple[tuple[Group, int], ...]
    """In which group, in which slot."""
    drain: tuple[Instance, ...]


def decide(wanted: Sequence[Group], running: Iterable[Instance]) -> Decision:
    """Compare what is wanted with what runs."""
    running = list(running)
    known = {group.name for group in wanted}
    start: list[tuple[Group, int]] = []
    drain = [each for each in running if each.group not in known and not each.draining]
    for group in wanted:
        here = [each for each in running if each.group == group.name]
        active = sorted((each for each in here if not each.draining), key=lambda each: each.slot)
        fresh = [each for each in active if each.revision == group.revision]
        stale = [each for each in active if each.revision != group.revision]
        drain += fresh[group.replicas :]
        fresh = fresh[: group.replicas]
        missing = group.replicas - len(fresh)
        if not group.overlaps:
            drain += stale
            if not stale and not any(each.draining for each in here):
                start += [(group, slot) for slot in _free(fresh, missing)]
            continue
        start += [(group, slot) for slot in _free(fresh, missing)]
        # The old ones serve until as many new ones can; those that nobody will replace go now.
        replaced = sum(each.ready for each in fresh)
        drain += stale[max(0, group.replicas - replaced) :]
    return Decision(tuple(start), tuple(drain))


def _free(taken: Sequence[Instance], count: int) -> list[int]:
    """The lowest slots that are not taken."""
    used = {each.slot for each in taken}
    return [slot for slot in range(1, len(used) + max(0, count) + 1) if slot not in used][: max(0, count)]
