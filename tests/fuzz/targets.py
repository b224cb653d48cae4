"""What is fuzzed: a name for each, which a folder of tests/fuzz/corpus has as well, and what holds for any bytes."""

from collections.abc import Callable
from typing import Final

from tests.fuzz import media_stream, oracles, packet_path

TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "stun.decode": oracles.stun_decode,
    "stun.peek": oracles.stun_peek,
    "route_token.open": oracles.route_token,
    "client_secret.open": oracles.client_secret,
    "keyring.parse": oracles.keyring,
    "hop.open": oracles.hop_open,
    "hop.unbundle": oracles.hop_unbundle,
    "rtp.decode_header": oracles.rtp_header,
    "rtcp.decode": oracles.rtcp_compound,
    "red.decode": oracles.red_payload,
    "demux.classify": oracles.demux_classify,
    "sdp.read_offer": oracles.sdp_offer,
    "media.stream": media_stream.media_stream,
    "transceiver.packet_path": packet_path.packet_path,
}
