"""`python -m voicefleet.services.relay`: a relay, told what to do by environment variables and a file."""

import asyncio
import sys

from voicefleet.contract import Component
from voicefleet.net.configuration import load_or_exit
from voicefleet.observability import logs
from voicefleet.services.relay.control import serve
from voicefleet.services.relay.datapath import DatapathRefused
from voicefleet.services.relay.hand_over import HandOverFailed
from voicefleet.services.relay.ports import PortInUse
from voicefleet.services.relay.settings import RelaySettings


def main() -> None:
    """The entry point."""
    settings = load_or_exit(RelaySettings)
    logs.configure(Component.RELAY, format=settings.log_format, level=settings.log_level)
    try:
        asyncio.run(serve(settings))
    except DatapathRefused as refusal:
        logs.logger(__name__).error("kernel datapath is a must, and not possible here", reason=str(refusal))
        sys.exit(1)
    except HandOverFailed as failure:
        logs.logger(__name__).error("port not taken over", reason=str(failure))
        sys.exit(1)
    except PortInUse as error:
        logs.logger(__name__).error("cannot listen", reason=str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
