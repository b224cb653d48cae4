"""Judges what signaling says of itself and its fleet. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from voicefleet.cli.doctor.finding import Finding, bad, good

SKEW: Final = 5.0
"""Seconds that clocks may differ: keys are minted and expire by the clock, and so do clients' secrets."""
_SESSION_MAP: Final = {
    "off": "none is configured",
    "gone": "it cannot be connected to",
    "slow": "it does not answer in time",
    "full": "it is full",
    "read_only": "it is a replica and takes no writes",
    "refused": "it refuses the password",
    "forbidden": "it refuses commands",
}


def examine(view: Mapping[str, Any], version: str, asked_at: float, answered_at: float) -> Iterator[Finding]:
    """All that the answer of `/v1/fleet` shows."""
    yield _version(view["version"], version)
    yield _session_map(view["sessionMap"])
    yield from (_file(each) for each in view["files"])
    yield _clock(view["time"], asked_at, answered_at)
    yield from _parts(view)


def _version(theirs: str, ours: str) -> Finding:
    if theirs == ours:
        return good("version", f"signaling is {theirs}, as this command")
    return bad("version", f"signaling is {theirs}, this command {ours}", "use the command of the fleet's version")


def _session_map(fault: str | None) -> Finding:
    if fault is None:
        return good("session map", "signaling reaches Redis")
    return bad(
        "session map",
        f"signaling has no Redis ({_SESSION_MAP.get(fault, fault)}): new calls are placed by what was known last",
        "see that VOICEFLEET_REDIS_URL or spec.sessionMap names the right address and password, and that Redis runs",
    )


def _file(file: Mapping[str, Any]) -> Finding:
    if file["problem"] is None:
        return good(file["name"], f"{file['path']} can be used")
    return bad(file["name"], f"{file['problem']}; the last good one is used", f"mend {file['path']}, or its Secret")


def _clock(theirs: float, asked_at: float, answered_at: float) -> Finding:
    """Their clock was read between our two moments."""
    off = max(asked_at - theirs, theirs - answered_at, 0.0)
    if off <= SKEW:
        return good("clock", f"signaling's and this machine's agree within {max(off, 0.001):.3g} s")
    way = "behind" if theirs > answered_at else "ahead of"
    return bad(
        "clock", f"this machine's is {off:.0f} s {way} signaling's", "run NTP (chrony, systemd-timesyncd) on both"
    )


def _parts(view: Mapping[str, Any]) -> Iterator[Finding]:
    for kind in ("relay", "transceiver"):
        entries = view[f"{kind}s"]
        if not entries:
            yield bad(
                f"{kind}s", f"signaling knows no {kind}", "see their pods or processes, and that they reach Redis"
            )
            continue
        silent = [each["id"] for each in entries if each["stale"]]
        if silent:
            yield bad(
                f"{kind}s",
                f"no heartbeat comes from {', '.join(silent)}",
                "see whether they run, and whether they reach Redis",
            )
        else:
            yield good(f"{kind}s", f"{len(entries)} send heartbeats")
    free = sum(each["free"] for each in view["transceivers"] if not each["draining"])
    if view["transceivers"] and not free:
        yield bad("capacity", "no transceiver takes a call", "give the shard more replicas")
