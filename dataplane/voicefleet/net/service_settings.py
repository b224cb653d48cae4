"""The settings that every service has, so that they are spelled and explained once."""

import socket
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from voicefleet.contract import Port
from voicefleet.net.configuration import Settings
from voicefleet.net.redis_target import RedisTarget
from voicefleet.net.setting_types import Address, HostPort, HttpUrl, PlaceSetting, RedisUrl


class ServiceSettings(Settings):
    """What relays, transceivers and signaling are all told."""

    log_format: Literal["auto", "json", "text"] = "auto"
    """`json` in a pod and `text` on a terminal, unless it is set."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important lines that are written."""
    health_listen: Address = HostPort("0.0.0.0", Port.HEALTH)
    """Where probes and metrics are answered."""
    key_file: Path
    """The fleet's key ring, as a Secret mounts it; read again when it changes."""
    redis_url: RedisUrl | None = None
    """The session map and directory. Without it routing works and placing calls goes by what is known."""
    redis_url_file: Path | None = None
    """A file that holds that URL instead; read again at every connection, so that a password can be changed."""
    state_directory: Path | None = None
    """Where the directory's last state is kept for the next start; may be lost at any time."""
    pod: str = ""
    """The name of this pod; the host's name where there is none."""
    node: str = ""
    """The node it runs on: one of the failure domains that steering keeps apart."""
    zone: str = ""
    """The zone it runs in: likewise."""
    region: Annotated[str, Field(max_length=63)] = ""
    """The region it serves."""
    place: PlaceSetting | None = None
    """Where it stands, for choosing what is near."""

    def redis(self) -> RedisTarget | None:
        """What a `RedisLink` is made with."""
        if self.redis_url is None and self.redis_url_file is None:
            return None
        return RedisTarget(self.redis_url.get_secret_value() if self.redis_url else None, self.redis_url_file)

    @property
    def id(self) -> str:
        """What the directory knows this part by."""
        return self.pod or socket.gethostname()

    @model_validator(mode="after")
    def _one_redis(self) -> "ServiceSettings":
        if self.redis_url is not None and self.redis_url_file is not None:
            raise ValueError("VOICEFLEET_REDIS_URL and VOICEFLEET_REDIS_URL_FILE are both set; allowed: one of them")
        return self


class TracedSettings(ServiceSettings):
    """What those are told, besides, whose calls' set-ups can be traced."""

    otlp_endpoint: HttpUrl | None = None
    """Send traces of calls' set-ups there, by OTLP over HTTP: a collector's base URL, to which `/v1/traces` is added.
    Needs `voicefleet[traces]`. Headers, sampler and queue are OpenTelemetry's own `OTEL_*` variables."""
