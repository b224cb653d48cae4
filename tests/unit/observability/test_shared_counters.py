"""Numbers of worker processes, as the control process shows them."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from voicefleet.observability.shared_counters import Kind, Layout, Series, SharedCounterMetrics, SharedCounters

LAYOUT = Layout(
    [
        Series("relay_packets", "Packets.", labels={"direction": "up"}),
        Series("relay_packets", "Packets.", labels={"direction": "down"}),
        Series("relay_flows", "Flows.", Kind.GAUGE, labels={"state": "confirmed"}),
        Series("relay_batch", "Packets of one wake-up.", Kind.HISTOGRAM, buckets=(1, 4, 16)),
        Series("relay_loop_seconds", "Time in the loop.", Kind.HISTOGRAM, buckets=(1_000, 1_000_000), unit=1e-9),
    ]
)
UP = LAYOUT.slot("relay_packets", direction="up")
DOWN = LAYOUT.slot("relay_packets", direction="down")
FLOWS = LAYOUT.slot("relay_flows", state="confirmed")


def shown(counters: SharedCounters) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(SharedCounterMetrics(counters))
    return registry


def test_what_workers_count_is_shown_as_one_sum() -> None:
    counters = SharedCounters.create(LAYOUT, workers=2)
    for worker in range(2):
        slots = counters.writer(worker).slots
        for _ in range(10):
            slots[UP] += 1
        slots[DOWN] += 2**40
        slots[FLOWS] = 7
    registry = shown(counters)
    assert registry.get_sample_value("relay_packets_total", {"direction": "up"}) == 20
    assert registry.get_sample_value("relay_packets_total", {"direction": "down"}) == 2**41
    assert registry.get_sample_value("relay_flows", {"state": "confirmed"}) == 14
    assert counters.value(1, UP) == 10


def test_a_histogram_is_shown_in_the_metric_s_unit() -> None:
    counters = SharedCounters.create(LAYOUT, workers=1)
    writer = counters.writer(0)
    batch, loop = writer.histogram("relay_batch"), writer.histogram("relay_loop_seconds")
    for size in (1, 1, 2, 4, 5, 100):
        batch(size)
    loop(500_000)
    registry = shown(counters)
    found = {le: registry.get_sample_value("relay_batch_bucket", {"le": le}) for le in ("1", "4", "16", "+Inf")}
    assert found == {"1": 2, "4": 4, "16": 5, "+Inf": 6}
    assert registry.get_sample_value("relay_batch_sum") == 113
    assert registry.get_sample_value("relay_loop_seconds_bucket", {"le": "1e-06"}) == 0
    assert registry.get_sample_value("relay_loop_seconds_bucket", {"le": "0.001"}) == 1
    assert registry.get_sample_value("relay_loop_seconds_sum") == pytest.approx(0.0005)


def test_prometheus_reads_it_with_one_family_for_each_name() -> None:
    text = generate_latest(shown(SharedCounters.create(LAYOUT, workers=1))).decode()
    names = [family.name for family in text_string_to_metric_families(text)]
    assert names == ["relay_packets", "relay_flows", "relay_batch", "relay_loop_seconds"]


def _work(path: Path, worker: int, then_die: bool) -> None:
    slots = SharedCounters.attach(LAYOUT, path).writer(worker).slots
    for _ in range(100_000):
        slots[UP] += 1
    slots[FLOWS] = 5
    if then_die:
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_loses_no_count_and_its_successor_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "counters"
    counters = SharedCounters.create(LAYOUT, workers=2, path=path)
    spawn = multiprocessing.get_context("spawn")
    children = [spawn.Process(target=_work, args=(path, worker, True)) for worker in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [-signal.SIGKILL] * 2
    assert counters.total(UP) == 200_000
    assert counters.total(FLOWS) == 10
    successor = counters.writer(1)
    assert counters.total(FLOWS) == 5, "a gauge of a worker that is gone says nothing"
    successor.slots[UP] += 1
    assert counters.total(UP) == 200_001


def test_a_loop_that_counts_for_itself_publishes_everything_at_once() -> None:
    counters = SharedCounters.create(LAYOUT, workers=1)
    values = [0] * LAYOUT.width
    values[UP], values[FLOWS] = 9, 3
    counters.writer(0).publish(values)
    restarted = counters.writer(0)
    values[UP], values[FLOWS] = 1, 2
    restarted.publish(values)
    restarted.publish(values)
    assert (counters.total(UP), counters.total(FLOWS)) == (10, 2)
    with pytest.raises(ValueError, match="1 values for"):
        restarted.publish([1])


def test_a_worker_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "counters"
    SharedCounters.create(LAYOUT, workers=1, path=path)
    with pytest.raises(ValueError, match="another layout"):
        SharedCounters.attach(Layout([Series("other", "Other.")]), path)
    path.write_bytes(b"short")
    with pytest.raises(ValueError, match="not shared counters"):
        SharedCounters.attach(LAYOUT, path)


def test_memory_made_anew_leaves_an_old_worker_its_own(tmp_path: Path) -> None:
    path = tmp_path / "counters"
    old = SharedCounters.create(LAYOUT, workers=1, path=path).writer(0)
    new = SharedCounters.create(LAYOUT, workers=1, path=path)
    old.slots[UP] += 5
    assert new.total(UP) == 0
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "series",
    [
        [Series("a", "A."), Series("a", "A.")],
        [Series("a", "A."), Series("a", "A.", labels={"x": "1"})],
        [Series("a", "A.", Kind.HISTOGRAM, buckets=(2, 1))],
        [Series("a", "A.", Kind.HISTOGRAM)],
    ],
)
def test_series_that_cannot_be_told_apart_are_refused(series: list[Series]) -> None:
    with pytest.raises(ValueError):
        Layout(series)


def test_a_block_belongs_to_a_worker_that_exists() -> None:
    with pytest.raises(IndexError, match="worker 2 of 2"):
        SharedCounters.create(LAYOUT, workers=2).writer(2)
    with pytest.raises(KeyError, match="sideways"):
        LAYOUT.slot("relay_packets", direction="sideways")
