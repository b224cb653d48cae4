"""The default geo database, made of tables in the former format and read as signaling reads it."""

from pathlib import Path

import pytest

from scripts.geo_database import ATTRIBUTION, convert
from voicefleet.core.countries import place_of_country
from voicefleet.net.geo import GeoDatabase

NONE, US, JP, DE, ANONYMOUS = (16_776_960 + number for number in (0, 225, 111, 56, 244))


def table(*nodes: tuple[int, int]) -> bytes:
    return b"".join(child.to_bytes(3, "little") for node in nodes for child in node)


def test_networks_of_both_versions_are_found_where_the_tables_put_them(tmp_path: Path) -> None:
    # IPv4: 0.0.0.0/1 Japan; 128.0.0.0/2 the United States; 192.0.0.0/3 anonymous proxies; 224.0.0.0/3 nothing.
    (tmp_path / "GeoIP.dat").write_bytes(table((JP, 1), (US, 2), (ANONYMOUS, NONE)))
    (tmp_path / "GeoIPv6.dat").write_bytes(table((1, NONE), (NONE, DE)))  # 4000::/2 Germany
    target = tmp_path / "made" / "geo.mmdb"
    convert(tmp_path, target)
    database = GeoDatabase(target)
    assert database.place("1.2.3.4") == place_of_country("JP") != database.place("129.0.0.1") == place_of_country("US")
    assert database.place("::ffff:129.0.0.1") == place_of_country("US")
    assert database.place("4000::1") == place_of_country("DE")
    assert database.place("193.0.0.1") is database.place("225.0.0.1") is database.place("9000::1") is None
    assert ATTRIBUTION.encode() in target.read_bytes() and database.built_at > 1_700_000_000


def test_what_is_no_table_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "GeoIPv6.dat").write_bytes(table((NONE, NONE)))
    for broken in (b"", table((0, 0)), table((5, NONE)), b"\x00" * 5):
        (tmp_path / "GeoIP.dat").write_bytes(broken)
        with pytest.raises(ValueError, match="no trie"):
            convert(tmp_path, tmp_path / "geo.mmdb")
        assert not (tmp_path / "geo.mmdb").exists()
