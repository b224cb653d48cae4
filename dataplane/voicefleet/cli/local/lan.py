"""Local mode for phones on the same network: an address that they reach, a certificate, and a QR code to point them at.

Browsers open a microphone only for a page that came by https, so there is a certificate, self-signed for that address.
"""

import ipaddress
import time
from datetime import timedelta
from pathlib import Path
from typing import Final

from voicefleet.cli.failure import Exit, Failure
from voicefleet.net.local_addresses import local_addresses
from voicefleet.wire.certificate import self_signed

LIFE: Final = timedelta(days=30)


def address(wanted: str) -> str:
    """The address of this machine in its network: the one that was asked for, or the only private one."""
    here = [each for each in local_addresses(4) if not ipaddress.ip_address(each).is_loopback]
    if wanted:
        if wanted not in here:
            known = ", ".join(here) or "none"
            raise Failure(f"{wanted} is no address of this machine", f"its addresses: {known}", Exit.USAGE)
        return wanted
    private = [each for each in here if ipaddress.ip_address(each).is_private] or here
    if not private:
        raise Failure("this machine has no address beside loopback", "connect it to a network, or leave --lan out")
    if len(private) > 1:
        raise Failure(
            f"this machine has several addresses: {', '.join(private)}", "choose one with --lan-address", Exit.USAGE
        )
    return private[0]


def make_certificate(directory: Path, host: str) -> Path:
    """A directory with a certificate for https at this address."""
    path = directory / "https"
    path.mkdir(mode=0o700, exist_ok=True)
    certificate, private = self_signed(time.time(), LIFE, address=host)
    (path / "tls.crt").write_bytes(certificate)
    (path / "tls.key").touch(mode=0o600)
    (path / "tls.key").write_bytes(private)
    return path


def certificate(directory: Path) -> Path:
    """The certificate that `make_certificate` made."""
    return directory / "https" / "tls.crt"


def qr_code(text: str) -> str:
    """Text as a QR code of a terminal's characters."""
    import io

    import segno  # only here: few starts need it

    drawn = io.StringIO()
    segno.make(text, error="l").terminal(drawn, compact=True, border=2)
    return drawn.getvalue()
