"""voicefleet's tests, one folder for each tier (tests/support/tiers.py); run them with `scripts/test`."""
