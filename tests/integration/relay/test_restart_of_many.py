"""A relay is killed under a hundred live calls and started again: all of them go on, and nobody calls again.

How long each of them was silent is a figure of `scripts/bench relay.restart`.
"""

from pathlib import Path

from tests.support.relay_restart import restarted_under_calls
from voicefleet.wire.keyring import FleetKey, KeyRing

RING = KeyRing("test", (FleetKey(1, bytes(range(32)), 0.0, None),))


async def test_with_the_session_map_a_hundred_calls_go_on_without_a_check(tmp_path: Path) -> None:
    restart = await restarted_under_calls(tmp_path, RING, calls=100, pause=0.1, flushed=False)
    print(restart.text())
    assert len(restart.late) == 100
    assert restart.found == 100, "nothing but media came, and each call was looked up once"


async def test_with_a_flushed_session_map_a_hundred_calls_go_on_with_their_first_check(tmp_path: Path) -> None:
    restart = await restarted_under_calls(tmp_path, RING, calls=100, pause=0.1, flushed=True)
    print(restart.text())
    assert len(restart.late) == 100
    assert restart.found == 0
