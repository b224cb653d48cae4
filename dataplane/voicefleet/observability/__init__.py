"""Logs, metrics and health as every service shows them."""
