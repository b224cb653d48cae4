"""What signaling is told when it starts."""

from pathlib import Path

from pydantic import model_validator

from voicefleet.contract import Port
from voicefleet.net.service_settings import ServiceSettings
from voicefleet.net.setting_types import Address, HostPort


class SignalingSettings(ServiceSettings):
    """The settings of one signaling replica."""

    signaling_listen: Address = HostPort("0.0.0.0", Port.SIGNALING)
    """Where clients post their offers."""
    api_keys_directory: Path | None = None
    """The applications' API keys, one file each, as a Secret mounts them."""
    open: bool = False
    """Let anybody call, without a key. For local use only."""
    console: bool = False
    """Serve the console page at `/`."""

    @model_validator(mode="after")
    def _who_may_call(self) -> "SignalingSettings":
        if self.api_keys_directory is None and not self.open:
            raise ValueError("VOICEFLEET_API_KEYS_DIRECTORY is not set; only VOICEFLEET_OPEN=true runs without keys")
        return self
