"""Whether a pool's relays are reached where clients are told to call: what a few checks from inside the cluster prove.

An answer proves it. Silence proves nothing by itself, since many networks do not let a pod reach its own cluster by a
public address; it does where an answer came before. One lost packet is no silence. Whatever is found, the pool stays
Ready: the check is made from one place, and clients call from others.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from voicefleet_operator.api.conditions import Condition, ConditionType, condition

ROUNDS: Final = 3
"""Checks without any answer, one after the other, until that is believed of an address that answered before."""
WHILE_WELL: Final = 30.0
"""Seconds between two checks of what answers."""
WHILE_DOUBTFUL: Final = 5.0
"""The same while what answered is silent."""
WHILE_LOST: Final = 15.0
"""The same while what answered does not any more."""
WHILE_SILENT: Final = 60.0
"""The same of what has never answered."""
SHOWN: Final = 4
"""Addresses that a message names."""


@dataclass(frozen=True, slots=True)
class Round:
    """One check of everything, and how long it has been like that."""

    answered: frozenset[str]
    silent: frozenset[str]
    """Addresses with their ports."""
    inside: bool
    """Whether a relay answered at its pod's own address."""
    missed: int = 0
    """Rounds in a row in which some address was silent, with this one."""


def reachable(before: Condition | None, found: Round | None) -> Condition:
    """The condition; `before` is what it was, if that was about these addresses."""
    if found is None or not (found.answered or found.silent):
        return before or condition(ConditionType.REACHABLE, None, "NotTried", "no relay is ready to be checked yet")
    if not found.silent:
        return condition(ConditionType.REACHABLE, True, "Answered", f"relays answer at {_named(found.answered)}")
    if before is not None and before.status == "True" and found.missed < ROUNDS:
        return before
    silent = _named(found.silent)
    if before is not None and before.status != "Unknown":  # they have answered once, so the network lets them
        who = "they answer inside the cluster" if found.inside else "nor do they inside the cluster"
        mend = (
            "see the firewall or security group in front of it, and that the address is still theirs"
            if found.inside
            else "see the relays' logs, and the NetworkPolicies"
        )
        message = f"relays no longer answer at {silent}, {who}; {mend}"
        return condition(ConditionType.REACHABLE, False, "NoAnswer", message)
    if not found.inside:
        message = f"no relay answers the operator, at {silent} or inside the cluster; do NetworkPolicies stop it?"
        return condition(ConditionType.REACHABLE, None, "NotChecked", message)
    message = (
        f"relays answer inside the cluster, and at {silent} nothing comes back to the operator: a firewall stops UDP, "
        "or the network lets no pod call the cluster's own addresses; voicefleet doctor tells from outside"
    )
    return condition(ConditionType.REACHABLE, None, "NoAnswerFromInside", message)


def next_round(before: Condition | None, found: Round) -> float:
    """Seconds until the next one."""
    if not found.silent:
        return WHILE_WELL
    if before is None or before.status == "Unknown":
        return WHILE_SILENT
    return WHILE_DOUBTFUL if before.status == "True" and found.missed < ROUNDS else WHILE_LOST


def _named(addresses: Iterable[str]) -> str:
    known = sorted(addresses)
    more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    return ", ".join(known[:SHOWN]) + more
