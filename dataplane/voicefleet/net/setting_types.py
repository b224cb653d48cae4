"""Types that settings are made of: each reads one spelling and says in words what it allows.

A validator raises ValueError with a relative clause ("which names no port"); the value, the place and what is allowed
are put around it by `configuration`.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, PlainValidator, SecretStr

from voicefleet.contract import GEO_BUNDLED
from voicefleet.core.place import Place

BUNDLED_DATABASE: Final = Path("/usr/share/voicefleet/geo.mmdb")
"""Where the image has a geo database of its own, which `scripts/geo-database` made."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a setting allows, in words with an example; stands in errors and in the reference."""

    text: str
    unit: str = ""
    """What bounds of the value are counted in."""


class HostPort(NamedTuple):
    """An address to listen on or to reach; fits `socket.bind` and `aiohttp.web.TCPSite`."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_host_port(value: Any) -> HostPort:
    """`host:port`, `[v6]:port`, or `:port` for all addresses; port 0 lets the system choose."""
    if isinstance(value, HostPort):
        return value
    if not isinstance(value, str):
        raise ValueError("which is not text")
    host, separator, port = value.strip().rpartition(":")
    if not separator or (host.count(":") and not host.startswith("[")):
        raise ValueError("which names no port" if not host else "which needs brackets around the IPv6 address")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("whose port is not from 0 to 65535")
    if host.startswith("["):
        if not host.endswith("]"):
            raise ValueError("whose bracket is not closed")
        host = host[1:-1]
        try:
            ip_address(host)
        except ValueError:
            raise ValueError("which has no IP address in its brackets") from None
    return HostPort(host or "0.0.0.0", int(port))


_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def parse_duration(value: Any) -> float:
    """Seconds from `250ms`, `90s`, `30m`, `1h30m`, `2d`, as Kubernetes writes durations."""
    if isinstance(value, float):
        return value
    if isinstance(value, int):
        raise ValueError("which has no unit")
    if not isinstance(value, str):
        raise ValueError("which is not text")
    text = value.strip()
    if text == "0":
        return 0.0
    parts = list(_DURATION.finditer(text))
    if not text or "".join(part[0] for part in parts) != text:
        raise ValueError("which has no unit" if text.replace(".", "", 1).isdigit() else "which is not a duration")
    return sum(float(part[1]) * _UNITS[part[2]] for part in parts)


def format_duration(seconds: float) -> str:
    """The shortest spelling that `parse_duration` reads back."""
    if seconds < 1.0 and seconds:
        return f"{seconds * 1000:g}ms"
    text = ""
    for unit, size in (("h", 3600.0), ("m", 60.0)):
        count, seconds = divmod(seconds, size)
        text += f"{count:g}{unit}" if count else ""
    return text + (f"{seconds:g}s" if seconds or not text else "")


def parse_network(value: Any) -> IPv4Network | IPv6Network:
    """A network in CIDR form, or one address."""
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    if not isinstance(value, str):
        raise ValueError("which is not text")
    text = value.strip()
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        whole = ip_network(text, strict=False)
    except ValueError:
        raise ValueError("which is no IP network") from None
    raise ValueError(f"which is an address inside of {whole}")


def parse_place(value: Any) -> Place:
    """`50.1,8.7`, or a mapping with `latitude` and `longitude`, in degrees."""
    if isinstance(value, Place):
        return value
    if isinstance(value, dict):
        if set(value) != {"latitude", "longitude"}:
            raise ValueError("which needs latitude and longitude and nothing else")
        pair = [value["latitude"], value["longitude"]]
    elif isinstance(value, str):
        pair = value.split(",")
        if len(pair) != 2:
            raise ValueError("which is not two numbers")
    else:
        raise ValueError("which is not a place")
    try:
        return Place(float(pair[0]), float(pair[1]))
    except (TypeError, OverflowError):
        raise ValueError("which is not two numbers") from None
    except ValueError as error:
        raise ValueError(str(error) if str(error).startswith("whose") else "which is not two numbers") from None


def _existing(value: Any) -> Path:
    if not isinstance(value, str | Path) or not str(value):
        raise ValueError("which is no path")
    path = Path(value)
    try:
        path.stat()
    except (OSError, ValueError) as error:
        raise ValueError(f"which cannot be read ({getattr(error, 'strerror', None) or error})") from None
    return path


def _existing_file(value: Any) -> Path:
    path = _existing(value)
    if not path.is_file():
        raise ValueError("which is not a file")
    return path


def _existing_directory(value: Any) -> Path:
    path = _existing(value)
    if not path.is_dir():
        raise ValueError("which is not a directory")
    return path


def _geo_file(value: Any) -> Path:
    return BUNDLED_DATABASE if value == GEO_BUNDLED else _existing_file(value)


REDIS_SCHEMES: Final = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")


def _redis_url(value: SecretStr) -> SecretStr:
    parts = urlsplit(value.get_secret_value())
    if parts.scheme not in REDIS_SCHEMES:
        raise ValueError(f"whose scheme is not one of {', '.join(REDIS_SCHEMES)}")
    if parts.scheme.endswith("+sentinel"):
        if not parts.path.strip("/"):
            raise ValueError("which names no master after the sentinels")
    elif not (parts.hostname or parts.scheme == "unix"):
        raise ValueError("which names no host")
    return value


def _web_socket_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("ws", "wss"):
        raise ValueError("whose scheme is not ws or wss")
    if not parts.hostname:
        raise ValueError("which names no host")
    return value


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https"):
        raise ValueError("whose scheme is not http or https")
    if not parts.hostname:
        raise ValueError("which names no host")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("which holds more than a host, a port and a path")
    return value


Address = Annotated[
    HostPort, PlainValidator(parse_host_port), Allowed("host:port such as 0.0.0.0:8088, [::]:8088 or :8088")
]
"""Where to listen, or whom to reach."""
Duration = Annotated[
    float, PlainValidator(parse_duration), Allowed("a duration such as 250ms, 90s, 30m or 1h30m", unit=" s")
]
"""Seconds."""
Network = Annotated[
    IPv4Network | IPv6Network, PlainValidator(parse_network), Allowed("a network such as 10.0.0.0/8 or fd00::/8")
]
"""One network; several are `tuple[Network, ...]`."""
PlaceSetting = Annotated[Place, PlainValidator(parse_place), Allowed("latitude,longitude in degrees such as 50.1,8.7")]
"""Where a relay or a client stands."""
ExistingFile = Annotated[Path, PlainValidator(_existing_file), Allowed("the path of a file that exists")]
"""A file that must be there when the service starts."""
GeoFile = Annotated[
    Path, PlainValidator(_geo_file), Allowed(f"the path of a file that exists, or {GEO_BUNDLED} for the image's own")
]
"""A geo database; that of the image need not be there."""
ExistingDirectory = Annotated[Path, PlainValidator(_existing_directory), Allowed("the path of a directory that exists")]
"""A directory that must be there when the service starts."""
RedisUrl = Annotated[
    SecretStr,
    AfterValidator(_redis_url),
    Allowed("a URL such as redis://:password@host:6379/0, rediss://..., or redis+sentinel://host:26379/master/0"),
]
"""A Redis server or its sentinels; secret, since it may hold a password."""
WebSocketUrl = Annotated[str, AfterValidator(_web_socket_url), Allowed("a URL such as wss://model.example/v1/realtime")]
"""A WebSocket server."""
HttpUrl = Annotated[str, AfterValidator(_http_url), Allowed("a URL such as http://collector.example:4318")]
"""An HTTP server; it may hold no password, so that it can be told in errors."""
