"""What tests of several tiers share: the table of tiers, the machine they run on, and how `scripts/test` runs them."""
