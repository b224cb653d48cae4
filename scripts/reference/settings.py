"""The settings of each service, as it reads them."""

from voicefleet.contract import Component
from voicefleet.net.settings_reference import reference
from voicefleet.services.relay.settings import RelaySettings
from voicefleet.services.signaling.settings import SignalingSettings
from voicefleet.services.transceiver.settings import TransceiverSettings

_HEAD = """# Settings of the services

On Kubernetes the operator sets these, and `voicefleet up` does so on a laptop; you need them when you run a service by
hand. Each is an environment variable, or a field of the file that `VOICEFLEET_CONFIG_FILE` names.

"""


def files() -> dict[str, str]:
    """The page by its path in the repository."""
    return {"docs/reference/settings.md": page()}


def page() -> str:
    """One section a service."""
    return _HEAD + reference(
        {
            Component.RELAY: RelaySettings,
            Component.TRANSCEIVER: TransceiverSettings,
            Component.SIGNALING: SignalingSettings,
        }
    )
