"""Where networks are: databases of cities and of countries, swapped live, and networks told by hand."""

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from tests.support.geo_files import write_geo_database
from voicefleet.core.countries import place_of_country
from voicefleet.core.place import Place
from voicefleet.net.geo import PlacedNetwork, PlacedNetworks, open_geo_database
from voicefleet.net.watched_file import FirstLoadError

BERLIN = {"location": {"latitude": 52.5, "longitude": 13.4}, "country": {"iso_code": "DE"}}


def test_a_city_is_more_than_a_country_and_a_country_more_than_nothing(tmp_path: Path) -> None:
    path = tmp_path / "geo.mmdb"
    records: dict[str, dict[str, Any]] = {
        "198.51.100.0/24": BERLIN,
        "203.0.113.0/24": {"country": {"iso_code": "JP"}},
        "192.0.2.0/24": {"registered_country": {"iso_code": "XX"}},
        "2001:db8::/32": {"location": {"latitude": 999.0, "longitude": 0.0}, "country": {"iso_code": "FR"}},
    }
    write_geo_database(path, records)
    database = open_geo_database(path).value
    assert database.place("198.51.100.7") == database.place("::ffff:198.51.100.9") == Place(52.5, 13.4)
    assert database.place("203.0.113.1") == place_of_country("jp") == Place(35.6, 139.7)
    assert database.place("2001:db8::1") == place_of_country("FR"), "a place that is none does not count"
    assert database.place("192.0.2.1") is database.place("10.0.0.1") is database.place("nonsense") is None


def test_a_new_database_is_used_at_once_and_a_broken_one_never(tmp_path: Path) -> None:
    path = tmp_path / "geo.mmdb"
    write_geo_database(path, {"198.51.100.0/24": BERLIN})
    file = open_geo_database(path)
    write_geo_database(path, {"198.51.100.0/24": {"location": {"latitude": 1.0, "longitude": 2.0}}})
    file.look()
    assert file.value.place("198.51.100.7") == Place(1.0, 2.0)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    file.look()
    assert file.value.place("198.51.100.7") == Place(1.0, 2.0) and file.failure is not None
    with pytest.raises(FirstLoadError):
        open_geo_database(path)


def test_of_networks_told_by_hand_the_narrowest_counts() -> None:
    wide = PlacedNetwork(ip_network("10.0.0.0/8"), Place(1, 1))
    narrow = PlacedNetwork(ip_network("10.1.0.0/16"), Place(2, 2))
    networks = PlacedNetworks([wide, narrow, PlacedNetwork(ip_network("fd00::/8"), Place(3, 3))])
    assert networks.place("10.1.2.3") == Place(2, 2)
    assert networks.place("10.2.2.3") == Place(1, 1)
    assert networks.place("fd00::1") == Place(3, 3)
    assert networks.place("192.0.2.1") is None
