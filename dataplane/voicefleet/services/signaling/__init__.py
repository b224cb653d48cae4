"""The signaling process: HTTP offer in, answer out; chooses relay and transceiver, keeps nothing."""
