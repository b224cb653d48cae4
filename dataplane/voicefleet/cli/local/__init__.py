"""Local mode: the fleet as supervised processes on this machine, without a cluster."""
