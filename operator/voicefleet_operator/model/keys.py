"""When the fleet's secret is due for a new key. The ring that `KeyRing.rotated` makes overlaps the old one."""

from collections.abc import Callable
from typing import Final

from voicefleet.wire.keyring import KEY_IDS, PROPAGATION, KeyRing
from voicefleet_operator.api.voice_fleet import Keys

ROTATE: Final = "voicefleet.dev/rotate"
"""The annotation on a VoiceFleet: each new value of it starts one rotation."""
HANDLED: Final = "voicefleet.dev/rotated-for"
"""The annotation on the Secret with the keys: which value of that was acted on."""
WAIT_FOR_A_KEY_ID: Final = 60.0
"""Seconds between looks while all key ids still open something."""


def rotation_due(ring: KeyRing, keys: Keys, now: float, asked: str, handled: str) -> bool:
    """Whether the ring should get a new key now: on schedule, or because somebody asks for the first time."""
    current = max(ring.keys, key=lambda key: key.mint_from)
    if current.mint_from > now:
        return False  # one is on its way; a second would reach nobody sooner
    if len(ring.accepted(now).keys) >= KEY_IDS:
        return False  # every key id still opens something
    if asked and asked != handled:
        return True
    return keys.rotate_every > 0 and now >= current.mint_from - PROPAGATION + keys.rotate_every


def rotated(ring: KeyRing, keys: Keys, now: float, random: Callable[[int], bytes]) -> KeyRing:
    """The ring with its next key; what the old ones made stays good for the longest call."""
    kept = ring.accepted(now)
    return kept.rotated(now, random, longest_session=keys.longest_call)


def next_rotation(ring: KeyRing, keys: Keys, now: float, waiting: bool) -> float | None:
    """When `rotation_due` should be asked again; `waiting` when somebody asked for one that could not be made yet."""
    newest = max(key.mint_from for key in ring.keys)
    if waiting:
        return newest if newest > now else now + WAIT_FOR_A_KEY_ID
    if keys.rotate_every <= 0:
        return None
    return newest - PROPAGATION + keys.rotate_every
