"""How often pods are asked what they carry: often where a policy scales by it, else so that the operator stays idle."""

from typing import Final

from voicefleet_operator.reconcile.context import Context
from voicefleet_operator.reconcile.store import Key

COUNT_LOOK: Final = 3.0
"""Seconds between two looks, at least; a policy has to see a burst within 10 s."""
QUESTIONS: Final = 50.0
"""Pods asked in a second, at most, where no policy waits for the answers; each costs about half a millisecond."""


def count_look(context: Context, target: Key) -> float:
    """Seconds until the pods of a pool or shard are asked again."""
    kind, namespace, name = target
    for policy in context.store.all("ScalingPolicy", namespace):
        if policy["spec"]["targetRef"] == {"kind": kind, "name": name}:
            return COUNT_LOOK
    return max(COUNT_LOOK, context.store.count("Pod") / QUESTIONS)
