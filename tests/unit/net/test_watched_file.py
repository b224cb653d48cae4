"""Files as Kubernetes mounts them: swapped, broken, gone, and back."""

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from voicefleet.net.key_file import KeyFile, KeyFileError
from voicefleet.net.watched_file import POLL, FileMetrics, FirstLoadError, WatchedFile
from voicefleet.wire.keyring import KeyRing

FIRST = KeyRing.generate("demo", 1_800_000_000.0, os.urandom)
SECOND = FIRST.rotated(1_800_000_500.0, os.urandom)


class Mount:
    """A volume as a kubelet lays it out: `ring.json -> ..data/ring.json`, `..data -> ..2026_1`, swapped whole."""

    def __init__(self, root: Path, content: bytes) -> None:
        self.root = root
        self._moment = 0
        self.swap(content)
        self.file = root / "ring.json"
        self.file.symlink_to("..data/ring.json")

    def swap(self, content: bytes) -> None:
        self._moment += 1
        moment = self.root / f"..2026_{self._moment}"
        moment.mkdir()
        (moment / "ring.json").write_bytes(content)
        old = (self.root / "..data").resolve() if self._moment > 1 else None
        (self.root / "..data_tmp").symlink_to(moment.name)
        (self.root / "..data_tmp").replace(self.root / "..data")
        if old is not None:
            (old / "ring.json").unlink()
            old.rmdir()


@pytest.fixture
def mount(tmp_path: Path) -> Mount:
    return Mount(tmp_path, FIRST.dump())


def test_a_rotated_secret_is_taken_up_without_a_restart(mount: Mount) -> None:
    keys = KeyFile(mount.file)
    assert keys.value == FIRST
    assert keys.refresh(0.0) is None
    mount.swap(SECOND.dump())
    assert keys.refresh(POLL) == SECOND
    assert keys.value == SECOND
    assert keys.refresh(2 * POLL) is None
    assert keys.loads == 2


def test_an_epoll_loop_may_ask_at_every_turn_and_costs_one_stat_in_two_seconds(
    mount: Mount, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = KeyFile(mount.file)
    looks = 0
    look = keys.look

    def counted() -> KeyRing | None:
        nonlocal looks
        looks += 1
        return look()

    monkeypatch.setattr(keys, "look", counted)
    for turn in range(100_000):
        keys.refresh(turn / 10_000)
    assert looks == 10 / POLL


BROKEN: dict[str, Callable[[Mount], object]] = {
    "not JSON": lambda mount: mount.swap(b"\x00\xff nothing"),
    "document: not JSON": lambda mount: mount.swap(b""),
    "version: only version 1": lambda mount: mount.swap(FIRST.dump().replace(b'"version": 1', b'"version": 9')),
    "but this part belongs to 'demo'": lambda mount: mount.swap(KeyRing.generate("other", 1.0, os.urandom).dump()),
    "longer than 65536": lambda mount: mount.swap(b" " * 70_000),
    "No such file": lambda mount: mount.file.unlink(),
    "keys[0].secret": lambda mount: mount.swap(
        b'{"version": 1, "fleet": "demo", "keys": '
        b'[{"id": 1, "secret": "c2hvcnQ=", "mintFrom": "2026-01-01T00:00:00Z"}]}'
    ),
}


@pytest.mark.parametrize("reason", BROKEN)
def test_a_bad_file_keeps_the_old_ring_and_is_logged_and_counted_once(
    reason: str, mount: Mount, caplog: pytest.LogCaptureFixture
) -> None:
    keys = KeyFile(mount.file)
    BROKEN[reason](mount)
    with caplog.at_level(logging.ERROR):
        for turn in range(5):
            assert keys.refresh(turn * POLL) is None
    assert keys.value == FIRST
    assert keys.failures == 1 and keys.failure is not None and reason in keys.failure
    assert [record.getMessage() for record in caplog.records] == [f"key ring: {keys.failure}; the last good one stays"]


def test_after_a_bad_file_a_good_one_is_taken_up(mount: Mount) -> None:
    keys = KeyFile(mount.file)
    mount.swap(b"{")
    assert keys.refresh(0.0) is None
    mount.swap(SECOND.dump())
    assert keys.refresh(POLL) == SECOND
    assert keys.failure is None


def test_a_file_that_was_read_while_it_was_being_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "ring.json"
    path.write_bytes(FIRST.dump())
    keys = KeyFile(path)
    whole = SECOND.dump()
    path.write_bytes(whole[: len(whole) // 2] + b" " * (len(whole) - len(whole) // 2))
    half = path.stat()
    assert keys.refresh(0.0) is None
    path.write_bytes(whole)
    os.utime(path, ns=(half.st_atime_ns, half.st_mtime_ns))  # a coarse clock: the same moment, the same size
    assert keys.refresh(POLL) == SECOND


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "No such file or directory"), (b"{}", "version: only version 1 is known")]
)
def test_a_service_without_a_usable_ring_does_not_start_and_says_why(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "ring.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(KeyFileError) as caught:
        KeyFile(path)
    assert str(caught.value) == f"{path}: {reason}"


def test_a_ring_of_another_fleet_does_not_start_a_service(mount: Mount) -> None:
    with pytest.raises(KeyFileError, match="'demo', but this part belongs to 'shop'"):
        KeyFile(mount.file, "shop")


def test_no_octet_of_a_secret_reaches_a_log_line(mount: Mount, caplog: pytest.LogCaptureFixture) -> None:
    keys = KeyFile(mount.file)
    document = SECOND.dump()
    secrets = [line.split(b'"')[3].decode() for line in document.splitlines() if b'"secret"' in line]
    for turn, at in enumerate(range(0, len(document), 7)):
        mount.swap(document[:at] + b"!" + document[at + 1 :])
        keys.refresh(turn * POLL)
    assert keys.failures > 10
    assert len(secrets) == 2
    for secret in secrets:
        assert not any(secret[start : start + 8] in caplog.text for start in range(0, 36, 4))


def test_a_directory_of_files_is_watched_as_one(tmp_path: Path) -> None:
    names = WatchedFile(tmp_path, lambda path: sorted(file.name for file in path.iterdir()), "API keys")
    assert names.value == []
    (tmp_path / "shop").write_text("one")
    assert names.refresh(0.0) == ["shop"]
    (tmp_path / "shop").write_text("three")
    assert names.refresh(POLL) == ["shop"]
    assert names.refresh(2 * POLL) is None


def test_a_mounted_directory_changes_with_the_link_that_a_kubelet_swaps(mount: Mount) -> None:
    rings = WatchedFile(mount.root, lambda path: (path / "ring.json").read_bytes(), "rings")
    assert rings.look() is None
    mount.swap(SECOND.dump())
    assert rings.look() == SECOND.dump()
    assert rings.look() is None


async def test_calls_do_not_wait_while_thousands_of_files_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voicefleet.net.watched_file.POLL", 0.01)
    reading = threading.Event()
    reading.set()

    def read(path: Path) -> str:
        assert reading.wait(30), "the loop had no turn while a file was read"
        return path.read_text()

    (file := tmp_path / "names").write_text("a")
    names = WatchedFile(file, read, "names")
    reading.clear()
    file.write_text("a, b")
    asyncio.get_running_loop().call_later(0.05, reading.set)
    async for value in names.changes():
        assert value == "a, b"
        break


def test_a_directory_that_is_missing_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(FirstLoadError, match="No such file"):
        WatchedFile(tmp_path / "keys", os.listdir, "API keys")


async def test_asyncio_is_told_of_a_change(mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicefleet.net.watched_file.POLL", 0.01)
    keys = KeyFile(mount.file)
    mount.swap(SECOND.dump())
    async for ring in keys.changes():
        assert ring == SECOND
        break


def test_the_metrics_tell_good_from_bad(mount: Mount) -> None:
    keys = KeyFile(mount.file)
    registry = CollectorRegistry()
    registry.register(FileMetrics(keys))
    labels = {"file": "key ring"}
    assert registry.get_sample_value("voicefleet_file_good", labels) == 1
    mount.swap(b"{")
    keys.look()
    assert registry.get_sample_value("voicefleet_file_good", labels) == 0
    assert registry.get_sample_value("voicefleet_file_failures_total", labels) == 1
    assert registry.get_sample_value("voicefleet_file_loads_total", labels) == 1
