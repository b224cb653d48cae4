"""Geo databases made for a test."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmdb_writer import MMDBWriter
from netaddr import IPSet  # type: ignore[import-untyped]


def write_geo_database(path: Path, records: Mapping[str, Mapping[str, Any]], kind: str = "Test-City") -> None:
    """A database with these networks, put in place at once as a kubelet or a cron job would."""
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type=kind)
    for network, record in records.items():
        writer.insert_network(IPSet([network]), dict(record))
    beside = path.with_name(path.name + ".new")
    writer.to_db_file(str(beside))
    beside.replace(path)
