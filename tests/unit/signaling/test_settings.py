"""What signaling can be told, and what it refuses to start with."""

import pytest

from voicefleet.core.place import Place
from voicefleet.core.rate_limit import Rate
from voicefleet.net.configuration import ConfigurationError, load
from voicefleet.services.signaling.settings import SignalingSettings

KEYED = {"VOICEFLEET_KEY_FILE": "/keys/ring.json", "VOICEFLEET_API_KEYS_DIRECTORY": "/keys/api"}


def test_places_regions_and_limits_are_read_from_the_environment() -> None:
    settings = load(
        SignalingSettings,
        {
            **KEYED,
            "VOICEFLEET_TRUSTED_PROXIES": "10.0.0.0/8,fd00::/8",
            "VOICEFLEET_GEO_NETWORKS": '[{"cidr": "10.0.0.0/8", "latitude": 50.1, "longitude": 8.7}]',
            "VOICEFLEET_ALLOWED_REGIONS": "eu,uk",
            "VOICEFLEET_DEFAULT_REGION": "eu",
            "VOICEFLEET_OTHER_REGIONS": '[{"region": "jp", "url": "https://jp", "latitude": 35, "longitude": 139}]',
            "VOICEFLEET_CALLS_PER_KEY": "7",
        },
    )
    assert [str(each) for each in settings.trusted_proxies] == ["10.0.0.0/8", "fd00::/8"]
    assert settings.placed_networks()[0].place == Place(50.1, 8.7)
    assert settings.policy().allowed_regions == {"eu", "uk"} and settings.policy().default_region == "eu"
    assert settings.regions()[0].place == Place(35, 139)
    assert settings.key_rate() == Rate(7.0, 500)


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"VOICEFLEET_KEY_FILE": "/k"}, "VOICEFLEET_API_KEYS_DIRECTORY"),
        ({"VOICEFLEET_KEY_FILE": "/k", "VOICEFLEET_OPEN": "true"}, "VOICEFLEET_SIGNALING_LISTEN"),
        ({**KEYED, "VOICEFLEET_ALLOWED_REGIONS": "eu", "VOICEFLEET_DEFAULT_REGION": "us"}, "VOICEFLEET_DEFAULT_REGION"),
        ({**KEYED, "VOICEFLEET_CALLS_PER_KEY": "0"}, "VOICEFLEET_CALLS_PER_KEY"),
        ({**KEYED, "VOICEFLEET_TRUSTED_PROXIES": "10.0.0.1/8"}, "VOICEFLEET_TRUSTED_PROXIES"),
    ],
)
def test_what_would_be_unsafe_or_senseless_is_refused_by_name(environment: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(SignalingSettings, environment)
    assert named in str(refused.value)


def test_open_mode_is_for_this_machine() -> None:
    environment = {"VOICEFLEET_KEY_FILE": "/k", "VOICEFLEET_OPEN": "true", "VOICEFLEET_SIGNALING_LISTEN": "127.0.0.1:0"}
    assert load(SignalingSettings, environment).open
