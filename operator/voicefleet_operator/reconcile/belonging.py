"""What pools and shards have in common: their fleet, which may be missing, and a hand that may have stopped us."""

from voicefleet_operator.api.conditions import Condition, ConditionType, condition
from voicefleet_operator.model.resources import Fleet, Pool, Shard
from voicefleet_operator.reconcile.context import Context, paused
from voicefleet_operator.reconcile.observed import fleet_named
from voicefleet_operator.reconcile.statuses import write_status


async def fleet_of(context: Context, part: Pool | Shard) -> Fleet | None:
    """The fleet of a pool or shard; without one, what it says of that is written."""
    name = part.spec.fleet_ref
    fleet = fleet_named(context.store, part.namespace, name)
    if fleet is not None and not fleet.deleting:
        return fleet
    message = (
        f"there is no VoiceFleet {name} in namespace {part.namespace}; create it, "
        f"or make a {part.kind} that refers to another"
    )
    await write_status(context, part, [condition(ConditionType.READY, False, "FleetNotFound", message)])
    return None


def by_hand(part: Pool | Shard | Fleet, fleet: Fleet) -> list[Condition]:
    """The condition that somebody works on it by hand; empty while nobody does, so that it is ours to change."""
    if paused(part.annotations) or paused(fleet.annotations):
        return [condition(ConditionType.PAUSED, True, "Annotated", "remove voicefleet.dev/paused to go on")]
    return []
