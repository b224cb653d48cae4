"""Grafana dashboards and Prometheus alert rules, as the chart ships them. `scripts/check --fix` writes both.

What they ask for is held against the metrics that the services show: one that does not exist is a finding.
"""
