"""Prometheus' tool, which holds alert rules against series."""
