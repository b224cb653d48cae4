"""Decisions, sans-IO: packets, events and `now` in, actions out. No socket, no clock, no thread."""
