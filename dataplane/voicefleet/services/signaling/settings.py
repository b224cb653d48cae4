"""What signaling is told when it starts."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from voicefleet.contract import Port
from voicefleet.core.place import Place
from voicefleet.core.rate_limit import Rate
from voicefleet.core.steering.policy import Policy
from voicefleet.core.steering.redirect import OtherRegion
from voicefleet.net.configuration import Settings
from voicefleet.net.geo import PlacedNetwork
from voicefleet.net.service_settings import TracedSettings
from voicefleet.net.setting_types import Address, GeoFile, HostPort, Network

Degrees = Annotated[float, Field(ge=-180, le=180)]
Positive = Annotated[float, Field(gt=0, le=1_000_000)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]


class NetworkSetting(Settings):
    """A network whose place is known."""

    cidr: Network
    """The network."""
    latitude: Annotated[float, Field(ge=-90, le=90)]
    """Degrees north."""
    longitude: Degrees
    """Degrees east."""


class RegionSetting(Settings):
    """Another region of the fleet, whose directory is its own."""

    region: Annotated[str, Field(min_length=1, max_length=63)]
    """Its name."""
    url: Annotated[str, Field(pattern=r"^https?://[^/?#]+/?$")]
    """Where its signaling answers clients."""
    latitude: Annotated[float, Field(ge=-90, le=90)]
    """Degrees north of its relays."""
    longitude: Degrees
    """Degrees east of its relays."""


class SignalingSettings(TracedSettings):
    """The settings of one signaling replica."""

    signaling_listen: Address = HostPort("0.0.0.0", Port.SIGNALING)
    """Where clients post their offers."""
    tls_directory: Path | None = None
    """`tls.crt` and `tls.key` for https; without it a proxy in front does that."""
    api_keys_directory: Path | None = None
    """The applications' API keys, one file each, as a Secret mounts them."""
    operator_keys: tuple[str, ...] = ()
    """Names of API keys whose holders may ask why calls go where they go."""
    open: bool = False
    """Let anybody call, without a key. For local use only: it needs a listening address of this machine alone."""
    console: bool = False
    """Serve the console page at `/`."""
    local_requests: Path | None = None
    """Where `voicefleet up` is asked to kill or drain its processes; the console has buttons for that then."""
    calls_per_key: Positive = 50.0
    """Calls a second that one API key may start, on average and over all replicas."""
    calls_per_key_burst: Count = 500
    """How many of them at once."""
    calls_per_network: Positive = 5.0
    """Calls a second from one client network (/24, or /48 in IPv6); a large office is one."""
    calls_per_network_burst: Count = 200
    """How many of them at once."""
    trusted_proxies: tuple[Network, ...] = ()
    """Proxies that are believed when they say whom they speak for (Forwarded, X-Forwarded-For, PROXY protocol)."""
    proxy_protocol: bool = False
    """Trusted proxies begin each connection with a PROXY protocol header (version 1 or 2)."""
    geo_database: GeoFile | None = None
    """A database of MaxMind's format (city or country), read again when it changes; or the one of the image."""
    geo_networks: tuple[NetworkSetting, ...] = ()
    """Networks whose places are known; they win over the database."""
    believe_place_hints: bool = False
    """Believe `?place=` and country headers of content delivery networks."""
    allowed_regions: tuple[str, ...] = ()
    """Regions that calls never leave, not even when all in them is down. Empty allows all."""
    default_region: Annotated[str, Field(max_length=63)] = ""
    """Where clients go whose place nobody knows."""
    other_regions: tuple[RegionSetting, ...] = ()
    """Regions to whose signaling WHIP clients are sent (307) when that is much nearer."""
    ice_servers: tuple[str, ...] = ()
    """STUN and TURN URLs that clients are told of; the relays need none."""

    def policy(self) -> Policy:
        """The rules for where calls may run."""
        return Policy(frozenset(self.allowed_regions), self.default_region)

    def key_rate(self) -> Rate:
        """What one API key may."""
        return Rate(self.calls_per_key, self.calls_per_key_burst)

    def network_rate(self) -> Rate:
        """What one client network may."""
        return Rate(self.calls_per_network, self.calls_per_network_burst)

    def placed_networks(self) -> list[PlacedNetwork]:
        """The networks whose places are known."""
        return [PlacedNetwork(each.cidr, Place(each.latitude, each.longitude)) for each in self.geo_networks]

    def regions(self) -> tuple[OtherRegion, ...]:
        """The other regions."""
        return tuple(
            OtherRegion(each.region, each.url, Place(each.latitude, each.longitude)) for each in self.other_regions
        )

    @model_validator(mode="after")
    def _who_may_call(self) -> "SignalingSettings":
        if self.api_keys_directory is None and not self.open:
            raise ValueError("VOICEFLEET_API_KEYS_DIRECTORY is not set; only VOICEFLEET_OPEN=true runs without keys")
        if self.open and not _only_this_machine(self.signaling_listen.host):
            raise ValueError(
                f"VOICEFLEET_OPEN is set, and VOICEFLEET_SIGNALING_LISTEN is {self.signaling_listen}; "
                "allowed without keys: an address of this machine alone, such as 127.0.0.1:8088"
            )
        if self.default_region and self.allowed_regions and self.default_region not in self.allowed_regions:
            raise ValueError("VOICEFLEET_DEFAULT_REGION is not one of VOICEFLEET_ALLOWED_REGIONS")
        return self


def _only_this_machine(host: str) -> bool:
    return host == "::1" or host == "localhost" or host.startswith("127.")
