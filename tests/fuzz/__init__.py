"""Hostile bytes into every decoder of `voicefleet.wire`, guided by coverage: `python -m tests.fuzz --help`."""
