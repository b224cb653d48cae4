"""Where transceivers may be. A token that names any other address is not followed, whoever sealed it."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network


class HopNetworks:
    """The fleet's hop networks (CIDR). Remembers its answers: a fleet has few transceivers."""

    REMEMBERED = 8_192

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks: tuple[IPv4Network | IPv6Network, ...] = tuple(ip_network(network) for network in networks)
        self._answers: dict[str, bool] = {}

    def allow(self, address: str) -> bool:
        """Whether a transceiver may have this address."""
        answer = self._answers.get(address)
        if answer is None:
            answer = self._decide(address)
            if len(self._answers) >= self.REMEMBERED:
                self._answers.clear()
            self._answers[address] = answer
        return answer

    def _decide(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        if parsed.is_multicast or parsed.is_unspecified:
            return False
        return any(parsed.version == network.version and parsed in network for network in self._networks)

    def __repr__(self) -> str:
        return f"HopNetworks({', '.join(map(str, self._networks))})"
