"""Agent links: what a caller talks to."""
