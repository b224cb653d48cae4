"""The control process's copy of all flows: for a packet process that has to start again, and for the session map.

Packet processes tell of each flow when it is confirmed and when it ends; so the copy is a tenth of a second late.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from voicefleet.core.relay.flow import Client
from voicefleet.core.relay.flow_record import FlowRecord

Address = tuple[str, int]
_Kept = TypeVar("_Kept")

REFRESHES: Final = 60
"""Portions in which the session map is told again what lives, so that it is never much at once."""


class Ledger:
    """Flows by packet process; `put` hands one to the session map."""

    def __init__(self, processes: int, put: Callable[[Address, Address], None]) -> None:
        self._flows: list[dict[Client, FlowRecord]] = [{} for _ in range(processes)]
        self._put = put
        self._addresses: dict[Address, Address] = {}
        """One object for equal addresses: a relay has few, and 50,000 flows that name them."""
        self._refreshing: list[FlowRecord] = []
        self._portion = 0

    def __len__(self) -> int:
        return sum(map(len, self._flows))

    def opened(self, process: int, records: Iterable[FlowRecord]) -> None:
        """A packet process confirmed these flows, or knows more about them."""
        flows, put = self._flows[process], self._put
        for record in records:
            known = flows.get(record.client)
            flows[record.client] = record._replace(local=self._one(record.local), hop=self._one(record.hop))
            if known is None or known.hop != record.hop:
                put(record.client[:2], record.hop)

    def ended(self, process: int, clients: Iterable[Client]) -> None:
        """These flows are over. The session map forgets them by itself: another relay may have them by now."""
        for client in clients:
            self._flows[process].pop(client, None)
        if not len(self):
            self._addresses.clear()

    def records(self, process: int) -> Iterator[FlowRecord]:
        """The flows of one packet process. Those of ICE-TCP are not among them: they end with their connection."""
        return iter(self._flows[process].values())

    def held(self, process: int) -> dict[Client, FlowRecord]:
        """A copy of that, as it is now."""
        return dict(self._flows[process])

    def refresh(self) -> None:
        """Tell the session map again about the next portion of what lives."""
        if not self._refreshing:
            self._refreshing = [record for flows in self._flows for record in flows.values()]
            self._portion = -(-len(self._refreshing) // REFRESHES)
        for _ in range(min(self._portion, len(self._refreshing))):
            record = self._refreshing.pop()
            self._put(record.client[:2], record.hop)

    def _one(self, address: Address) -> Address:
        return self._addresses.setdefault(address, address)
