"""Decisions of a transceiver worker that need no socket: whom it takes, what it holds back, what floods it."""
