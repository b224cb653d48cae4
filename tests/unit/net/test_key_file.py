"""Which keys of the mounted key ring count at which time."""

from pathlib import Path

from voicefleet.net.key_file import AcceptedRing, KeyFile
from voicefleet.wire.keyring import FleetKey, KeyRing


def test_a_key_whose_time_is_over_opens_nothing_although_the_file_still_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    old = FleetKey(0, bytes(32), 0.0, 100.0)
    new = FleetKey(1, bytes(range(32)), 50.0, None)
    path.write_bytes(KeyRing("demo", (old, new)).dump())
    now = [60.0]
    ring = AcceptedRing(KeyFile(path), lambda: now[0])
    first = ring()
    assert {key.key_id for key in first.keys} == {0, 1} and ring() is first
    now[0] = 100.0
    assert [key.key_id for key in ring().keys] == [1]
    assert ring() is ring()
    now[0] = 1e12
    assert ring() is ring()
