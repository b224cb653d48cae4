"""The relay's decisions: which packet may pass, to whom, and what is remembered about it. Sealed packets only.

One invariant: state and answers exist only for a client whose STUN check carried an integrity made with the password
of a token of this fleet, or for whom a transceiver of this fleet vouched (by the hop header's tag or the session map).
"""
