"""Where a caller is: his address as trusted proxies tell it, and the place of that address.

What the fleet's owner configured wins; then a hint in the request, if the fleet believes hints; then the database.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from voicefleet.core.countries import place_of_country
from voicefleet.core.forwarded import Network, client_address
from voicefleet.core.place import Place
from voicefleet.core.steering.policy import Client, PlaceSource, network_of
from voicefleet.net.geo import GeoDatabase, PlacedNetworks

COUNTRY_HEADERS: Final = ("CF-IPCountry", "CloudFront-Viewer-Country", "X-AppEngine-Country", "X-Country-Code")
"""How content delivery networks tell a client's country."""
PLACE_QUERY: Final = "place"
"""`?place=50.1,8.7` of a client that knows where it is."""


@dataclass(frozen=True, slots=True)
class ClientPlaces:
    """Finds clients' places; every source is optional."""

    trusted_proxies: Sequence[Network] = ()
    networks: PlacedNetworks | None = None
    database: Callable[[], GeoDatabase | None] = lambda: None
    believe_hints: bool = False
    """Whether a client (or a proxy before us) may say where it is."""

    def address(self, request: web.Request) -> str:
        """The client's own address."""
        peer = request.remote or ""
        if not self.trusted_proxies:
            return peer
        return client_address(
            peer,
            self.trusted_proxies,
            request.headers.getall("Forwarded", []),
            request.headers.getall("X-Forwarded-For", []),
        )

    def client(self, request: web.Request, key: str) -> Client:
        """The client behind a request, for steering."""
        return self.locate(self.address(request), key, self._hint(request) if self.believe_hints else None)

    def locate(self, address: str, key: str, hint: Place | None = None) -> Client:
        """A client at an address."""
        network = network_of(address)
        if self.networks is not None and (place := self.networks.place(address)) is not None:
            return Client(place, network, key, PlaceSource.CONFIGURED)
        if hint is not None:
            return Client(hint, network, key, PlaceSource.HINT)
        database = self.database()
        if database is not None and (place := database.place(address)) is not None:
            return Client(place, network, key, PlaceSource.DATABASE)
        return Client(None, network, key)

    @staticmethod
    def _hint(request: web.Request) -> Place | None:
        told = request.query.get(PLACE_QUERY)
        if told is not None:
            latitude, _, longitude = told.partition(",")
            try:
                return Place(float(latitude), float(longitude))
            except ValueError:
                return None
        codes = (request.headers.get(name) for name in COUNTRY_HEADERS)
        return next((place for code in codes if code and (place := place_of_country(code)) is not None), None)
