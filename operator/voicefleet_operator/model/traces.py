"""Where traces go, as signaling and transceivers are told; relays see no call's set-up."""

from collections.abc import Mapping

from voicefleet.contract import Env
from voicefleet_operator.api.voice_fleet import Monitoring


def traces_environment(monitoring: Monitoring) -> Mapping[str, str]:
    """Empty where nobody collects them."""
    return {Env.OTLP_ENDPOINT: monitoring.otlp_endpoint} if monitoring.otlp_endpoint else {}
