"""The transceiver's entry point: settings in, a pod's process with its workers out."""

import asyncio

from voicefleet.contract import Component
from voicefleet.net.configuration import load_or_exit
from voicefleet.observability import logs
from voicefleet.services.transceiver.pod import serve
from voicefleet.services.transceiver.settings import TransceiverSettings


def main() -> None:
    """The entry point."""
    settings = load_or_exit(TransceiverSettings)
    logs.configure(Component.TRANSCEIVER, format=settings.log_format, level=settings.log_level)
    asyncio.run(serve(settings))


if __name__ == "__main__":
    main()
