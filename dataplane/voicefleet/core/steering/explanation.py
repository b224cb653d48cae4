"""Steering's choice in words, for a person who asks why a call went where it did."""

from collections.abc import Sequence

from voicefleet.core.place import Place
from voicefleet.core.steering.belief import Ground
from voicefleet.core.steering.policy import Client, PlaceSource, Policy
from voicefleet.core.steering.relay_choice import Candidate, RankedPool, RelayChoice, Standing
from voicefleet.core.steering.transceiver_choice import Asked

_SOURCES = {
    PlaceSource.CONFIGURED: "a configured network",
    PlaceSource.DATABASE: "the geo database",
    PlaceSource.HINT: "a hint in the request",
    PlaceSource.UNKNOWN: "nothing",
}


def explain_client(client: Client, choice: RelayChoice, policy: Policy) -> str:
    """Where the client is taken to be, and on what ground."""
    belief = choice.belief
    if belief.ground is Ground.MEASURED:
        told = f" (not {client.place}, as {_SOURCES[client.source]} says)" if client.place is not None else ""
        return f"Round trips measured for {client.network} place the client near {_rounded(belief.place)}{told}."
    if belief.place is None:
        region = f"; the default region is {policy.default_region}" if policy.default_region else ""
        return f"Nobody knows where the client is{region}."
    fits = ", and what was measured fits that" if any(each.measured for each in choice.pools) else ""
    return f"The client is at {belief.place}, says {_SOURCES[client.source]}{fits}."


def explain_pool(each: RankedPool) -> str:
    """What a pool costs this client, and how it stands."""
    words = [f"{each.milliseconds:.0f} ms expected"]
    if each.distance_km is not None:
        words.append(f"{each.distance_km:.0f} km away")
    if each.measured is not None:
        words.append(f"{each.measured.milliseconds:.0f} ms measured (weight {each.measured.weight:.1f})")
    words.append(f"load {each.pool.load:.0%}")
    if each.standing is not Standing.GOOD:
        words.append(each.standing.value)
    if each.kept:
        words.append("kept, since this network used it lately and it is nearly the best")
    return f"pool {each.pool.name} in {each.pool.region or 'no region'}: {', '.join(words)}"


def explain_candidate(number: int, each: Candidate) -> str:
    """Why a relay stands where it does among the offered."""
    where = f" on node {each.relay.node}" if each.relay.node else ""
    lead = f"{number}. relay {each.relay.id}{where}, {explain_pool(each.ranked)}"
    if each.explored:
        return f"{lead}; offered only to be measured{', by this one call' if number == 1 else ''}."
    if number == 1:
        return f"{lead}."
    if each.shares:
        return f"{lead}; shares its {each.shares} with one before it, since nothing better apart was near."
    return f"{lead}; fails apart from those before it."


def explain_passed_over(choice: RelayChoice) -> list[str]:
    """Each pool that was not offered, and why."""
    offered = {each.relay.pool for each in choice.candidates}
    lines = [f"{explain_pool(each)}: not among the best." for each in choice.pools if each.pool.name not in offered]
    lines += [f"pool {name}: outside of the allowed regions." for name in choice.forbidden]
    return lines + [f"pool {name}: {why}." for name, why in sorted(choice.gone.items())]


def explain_asked(asked: Sequence[Asked]) -> list[str]:
    """The transceivers in the order in which they would be asked."""
    lines = []
    for number, each in enumerate(asked, 1):
        words = [f"{each.free} of {each.transceiver.capacity} free", f"{each.milliseconds:.0f} ms from the relay"]
        if each.warm < 1.0:
            words.append(f"new, counts {each.warm:.0%}")
        if each.of_key:
            words.append(f"has {each.of_key} recent calls of this key")
        if each.silent:
            words.append("not heard of lately")
        lines.append(f"{number}. transceiver {each.transceiver.id}: {', '.join(words)}.")
    return lines


def _rounded(place: Place | None) -> str:
    return "nowhere" if place is None else f"{place.latitude:.1f},{place.longitude:.1f}"
