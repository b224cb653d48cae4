"""Every name that two parts of voicefleet share, in one place, importing only the standard library.

The operator writes these names into pods, the data plane reads them there; relays, transceivers and signaling meet in
Redis and in metrics under them. A name that only one part uses does not belong here.
"""

from typing import Final

GROUP: Final = "voicefleet.dev"
VERSION: Final = "v1alpha1"


class Label:
    """Labels and annotations on Kubernetes objects."""

    FLEET: Final = "voicefleet.dev/fleet"
    POOL: Final = "voicefleet.dev/pool"
    SHARD: Final = "voicefleet.dev/shard"
    COMPONENT: Final = "app.kubernetes.io/component"
    DRAIN: Final = "voicefleet.dev/drain"


class Component:
    """Values of `Label.COMPONENT`, of the log field `service` and of the metric label `service`."""

    RELAY: Final = "relay"
    TRANSCEIVER: Final = "transceiver"
    SIGNALING: Final = "signaling"
    OPERATOR: Final = "operator"
    SESSION_MAP: Final = "session-map"


class Port:
    """Default ports. Public relay ports are leased by the operator from `RELAY_RANGE`."""

    RELAY: Final = 3478
    """Where STUN lives: the port that firewalls let through most often."""
    RELAY_RANGE: Final = (30478, 30677)
    HEALTH: Final = 8080
    METRICS: Final = 9090
    SIGNALING: Final = 8088
    TRANSCEIVER_API: Final = 8089
    HOP: Final = 4478
    """First hop port of a transceiver; worker n takes HOP + n."""
    SESSION_MAP: Final = 6379


MEDIA_MTU: Final = 1200
"""Largest datagram that a client and a transceiver send each other."""
HOP_MTU: Final = 1372
"""Largest UDP payload on the hop: a 1400-octet path MTU less 28 octets of IPv4 and UDP header."""
