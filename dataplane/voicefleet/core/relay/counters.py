"""What the relay counts: every packet that it does not forward has a reason here."""

from enum import StrEnum


class Drop(StrEnum):
    """Why a packet went nowhere; the label value of the metric of dropped packets."""

    # From a client.
    EMPTY = "empty"
    TOO_LONG = "too_long"
    """Longer than what fits the hop with its header."""
    BAD_SOURCE = "bad_source"
    """A source that nobody can answer: port 0."""
    UNKNOWN_KIND = "unknown_kind"
    """First octet of no protocol that a call uses (RFC 7983)."""
    UNKNOWN_CLIENT = "unknown_client"
    """Media from an address without a flow that nothing known brings back."""
    STUN_MALFORMED = "stun_malformed"
    STUN_NOT_REQUEST = "stun_not_request"
    """A STUN response or indication from an address without a flow, or a method other than Binding."""
    STUN_NO_INTEGRITY = "stun_no_integrity"
    STUN_BAD_INTEGRITY = "stun_bad_integrity"
    TOKEN_MALFORMED = "token_malformed"
    TOKEN_UNKNOWN_KEY = "token_unknown_key"
    TOKEN_FOREIGN_FLEET = "token_foreign_fleet"
    TOKEN_FORGED = "token_forged"
    HOP_NOT_ALLOWED = "hop_not_allowed"
    """The token's address lies outside of the fleet's hop networks."""
    CHECKS_OVER_RATE = "checks_over_rate"
    """Checks from unknown addresses beyond what the relay verifies a second; known flows are not concerned."""
    FLOWS_FULL = "flows_full"
    PENDING_FULL = "pending_full"
    ADDRESS_FULL = "address_full"
    NETWORK_FULL = "network_full"
    TOKEN_FULL = "token_full"
    PEERS_FULL = "peers_full"
    PENDING_ALLOWANCE = "pending_allowance"
    """More packets on a pending flow than it may send before the transceiver answers."""
    ROAMING_FULL = "roaming_full"
    ROAMING_OVER_RATE = "roaming_over_rate"
    REFUSED = "refused"
    """A check for a transceiver that is gone; the client got an authenticated error instead."""
    LEAVING = "leaving"
    """A check of a live flow at a relay that is about to end: unanswered, it makes the client look for another."""

    # From the hop.
    HOP_STRANGER = "hop_stranger"
    """From an address outside of the hop networks."""
    HOP_MALFORMED = "hop_malformed"
    HOP_FORGED = "hop_forged"
    HOP_UNKNOWN_KEY = "hop_unknown_key"
    HOP_REFLECTED = "hop_reflected"
    """Not marked as downlink: a relay's own packet, or another relay's, come back."""
    HOP_UNKNOWN_CLIENT = "hop_unknown_client"
    HOP_WRONG_PEER = "hop_wrong_peer"
    """From a transceiver other than the one that the client's flow belongs to."""

    # At the sockets.
    HOP_SEND_FULL = "hop_send_full"
    HOP_SEND_FAILED = "hop_send_failed"
    CLIENT_SEND_FULL = "client_send_full"
    CLIENT_SEND_FAILED = "client_send_failed"

    FAULT = "fault"
    """A packet that made this relay raise: a mistake of ours, of which the log tells."""

    # ICE-TCP.
    TCP_SLOW_READER = "tcp_slow_reader"
    """Media that a slow reader did not take; older media goes first."""
    TCP_FULL = "tcp_full"
    """A connection beyond the bound, of all or of its address."""
    TCP_UNPROVEN = "tcp_unproven"
    """A connection that brought no verified check in time."""


class Counters:
    """Plain numbers of one packet process; the loop adds to them, the control side reads them."""

    __slots__ = (
        "checks_verified",
        "downlink_bytes",
        "downlink_packets",
        "drops",
        "flows_confirmed",
        "flows_expired",
        "flows_opened",
        "flows_rerouted",
        "flows_restored",
        "flows_shed",
        "lookups",
        "lookups_found",
        "moves",
        "peers_lost",
        "pings",
        "refusals",
        "roaming_packets",
        "tokens_opened",
        "uplink_bytes",
        "uplink_packets",
    )

    def __init__(self) -> None:
        self.drops: dict[Drop, int] = dict.fromkeys(Drop, 0)
        self.uplink_packets = 0
        self.uplink_bytes = 0
        self.downlink_packets = 0
        self.downlink_bytes = 0
        self.checks_verified = 0
        self.tokens_opened = 0
        self.flows_opened = 0
        self.flows_confirmed = 0
        self.flows_restored = 0
        self.flows_rerouted = 0
        self.flows_expired = 0
        self.flows_shed = 0
        self.refusals = 0
        self.roaming_packets = 0
        self.moves = 0
        self.lookups = 0
        self.lookups_found = 0
        self.pings = 0
        self.peers_lost = 0
