"""What a local fleet does next."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from voicefleet.cli.local.reconcile import Group, Instance, decide

SHARD = Group("main-transceiver", "transceiver", 1, {"SESSIONS": "200"})
SIGNALING = Group("signaling", "signaling", 1, {"REGION": ""}, overlaps=False)


def instance(group: Group, number: int, slot: int = 0, *, ready: bool = True, draining: bool = False) -> Instance:
    return Instance(group.name, slot or number, number, group.revision, ready, draining)


def test_a_shard_that_grows_gets_the_missing_processes() -> None:
    decision = decide([replace(SHARD, replicas=3)], [instance(SHARD, 1)])
    assert [slot for _, slot in decision.start] == [2, 3]
    assert not decision.drain


def test_a_shard_that_shrinks_drains_its_newest() -> None:
    decision = decide([SHARD], [instance(SHARD, number) for number in (1, 2, 3)])
    assert [each.number for each in decision.drain] == [2, 3]


def test_a_pool_that_is_gone_from_the_file_drains_once() -> None:
    running = [instance(SHARD, 1), instance(SHARD, 2, draining=True)]
    assert decide([], running).drain == (running[0],)


def test_changed_settings_start_the_new_process_first_and_drain_the_old_one_when_it_is_ready() -> None:
    changed = replace(SHARD, template={"SESSIONS": "100"})
    old = instance(SHARD, 1)
    first = decide([changed], [old])
    assert first.start == ((changed, 1),) and not first.drain
    assert decide([changed], [old, instance(changed, 2, 1, ready=False)]).drain == ()
    assert decide([changed], [old, instance(changed, 2, 1)]).drain == (old,)


def test_what_cannot_stand_beside_its_successor_ends_before_that_starts() -> None:
    changed = replace(SIGNALING, template={"REGION": "eu"})
    old = instance(SIGNALING, 1)
    first = decide([changed], [old])
    assert first.drain == (old,) and not first.start
    assert not decide([changed], [replace(old, draining=True)]).start
    assert decide([changed], []).start == ((changed, 1),)


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), min_size=1, max_size=6),
    st.data(),
)
def test_it_always_comes_to_rest_with_what_is_wanted(history: list[tuple[int, int]], data: st.DataObject) -> None:
    running: dict[int, Instance] = {}
    numbers = iter(range(1, 10_000))
    group = SHARD
    for replicas, setting in history:
        group = replace(SHARD, replicas=replicas, template={"SESSIONS": str(setting)})
        for _ in range(data.draw(st.integers(0, 3))):
            _step(group, running, numbers)
    for _ in range(20):
        _step(group, running, numbers)
    assert len(running) == group.replicas
    assert all(each.revision == group.revision and not each.draining for each in running.values())
    assert len({each.slot for each in running.values()}) == len(running)


def _step(group: Group, running: dict[int, Instance], numbers: "object") -> None:
    decision = decide([group], running.values())
    for number, each in list(running.items()):
        if each.draining:
            del running[number]
        else:
            running[number] = replace(each, ready=True)
    for each in decision.drain:
        if each.number in running:
            running[each.number] = replace(running[each.number], draining=True)
    for started, slot in decision.start:
        number = next(numbers)  # type: ignore[call-overload]
        running[number] = Instance(started.name, slot, number, started.revision)
