"""What a pool's relays carry: read from their metrics, since a relay has no other door to the inside."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp

from voicefleet.contract import HealthPath, Metric

SECONDS: Final = 2.0
"""For one answer; a relay that takes longer counts as silent."""
_SAMPLE: Final = re.compile(r"^([a-z_]+)(?:\{([^}]*)\})? (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Carried:
    """One relay at one moment."""

    flows: int
    packets: float
    """Since it started."""


@dataclass(frozen=True, slots=True)
class Sample:
    """All relays of a pool at one moment, None for a silent one."""

    at: float
    relays: Mapping[str, Carried | None]

    @property
    def complete(self) -> bool:
        """Whether there are relays and none is silent; a sum of the others would be too small."""
        return bool(self.relays) and None not in self.relays.values()

    @property
    def flows(self) -> int:
        """Of all that answered."""
        return sum(each.flows for each in self.relays.values() if each is not None)

    @property
    def most_flows(self) -> int:
        """Of the fullest."""
        return max((each.flows for each in self.relays.values() if each is not None), default=0)

    def packets_per_second(self, before: "Sample | None") -> float | None:
        """Between two samples, by the relays that are in both and have not restarted."""
        if before is None or self.at <= before.at:
            return None
        made, known = 0.0, False
        for name, each in self.relays.items():
            earlier = before.relays.get(name)
            if each is not None and earlier is not None and each.packets >= earlier.packets:
                made, known = made + each.packets - earlier.packets, True
        return made / (self.at - before.at) if known else None


async def ask(session: aiohttp.ClientSession, pods: Mapping[str, tuple[str, int]], now: float) -> Sample:
    """What the relays at these addresses carry."""
    answers = await asyncio.gather(*(_one(session, *address) for address in pods.values()))
    return Sample(now, dict(zip(pods, answers, strict=True)))


async def _one(session: aiohttp.ClientSession, address: str, port: int) -> Carried | None:
    host = f"[{address}]" if ":" in address else address
    try:
        url = f"http://{host}:{port}{HealthPath.METRICS}"
        async with session.get(url, timeout=aiohttp.ClientTimeout(total=SECONDS)) as answer:
            return read(await answer.text()) if answer.status == 200 else None
    except (aiohttp.ClientError, TimeoutError, OSError, UnicodeDecodeError):
        return None


def read(text: str) -> Carried | None:
    """The two figures from a relay's metrics; None if they are not there."""
    flows = packets = None
    for name, labels, value in _SAMPLE.findall(text):
        if name == Metric.RELAY_FLOWS and 'state="confirmed"' in labels:
            flows = (flows or 0.0) + float(value)
        elif name == f"{Metric.RELAY_PACKETS}_total":
            packets = (packets or 0.0) + float(value)
    return None if flows is None or packets is None else Carried(int(flows), packets)
