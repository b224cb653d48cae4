"""From a URL to a client: one server (redis, rediss, unix) or a master that sentinels know.

`redis+sentinel://[user:password@]host[:port][,host[:port]...]/master[/db][?sentinelPassword=...]`, with
`rediss+sentinel` for TLS to both. The library's own retries are off: whether to try again is for the link to decide.
"""

from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from voicefleet.net.redis_library import NoBackoff, Redis, Retry, Sentinel
from voicefleet.net.setting_types import REDIS_SCHEMES

SENTINEL_PORT: Final = 26379


class RedisAddressError(ValueError):
    """A URL that names no Redis; says why, never what is in it."""


def connect(url: str, timeout: float) -> Redis:
    """A client for the URL; connects when it is used. `timeout` is for each step of the socket."""
    options: dict[str, Any] = {
        "socket_timeout": None,  # the link's deadline holds for the whole command
        "socket_connect_timeout": max(timeout, 1.0),
        "socket_keepalive": True,
        "decode_responses": True,
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
    }
    parts = urlsplit(url)
    if parts.scheme not in REDIS_SCHEMES:
        raise RedisAddressError(f"the scheme is not one of {', '.join(REDIS_SCHEMES)}")
    if not parts.scheme.endswith("+sentinel"):
        try:
            return Redis.from_url(url, **options)
        except ValueError as error:
            raise RedisAddressError(str(error)) from None
    return _by_sentinels(parts.scheme, parts.netloc, parts.path, parse_qs(parts.query), options)


def _by_sentinels(scheme: str, place: str, path: str, query: dict[str, list[str]], options: dict[str, Any]) -> Redis:
    credentials, _, hosts = place.rpartition("@")
    user, _, password = credentials.partition(":")
    master, _, db = path.strip("/").partition("/")
    if not master or not hosts:
        raise RedisAddressError("sentinels need a host and the name of a master: redis+sentinel://host:26379/master")
    if db and not db.isdigit():
        raise RedisAddressError("the database after the master's name is not a number")
    common = options | {"ssl": scheme.startswith("rediss")}
    own = query.get("sentinelPassword", [None])[0]
    sentinels = Sentinel(  # type: ignore[no-untyped-call]
        [_host(host) for host in hosts.split(",")],
        sentinel_kwargs=common | {"password": own},
        **common,
        db=int(db or 0),
        username=unquote(user) or None,
        password=unquote(password) or None,
    )
    found: Redis = sentinels.master_for(master)
    return found


def _host(text: str) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    if not separator or text.endswith("]"):
        host, port = text, str(SENTINEL_PORT)
    if not port.isdigit():
        raise RedisAddressError("a sentinel's port is not a number")
    return host.strip("[]"), int(port)
