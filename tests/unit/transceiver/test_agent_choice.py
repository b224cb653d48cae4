"""What a transceiver's settings make of the agent."""

from pathlib import Path

import pytest

from voicefleet.core.rate_limit import Rate
from voicefleet.net.configuration import ConfigurationError, load
from voicefleet.services.transceiver.agent_choice import agent_choice, worker_limits
from voicefleet.services.transceiver.settings import TransceiverSettings


def _settings(folder: Path, **more: str) -> TransceiverSettings:
    (folder / "ring").write_text("{}")
    environment = {
        "VOICEFLEET_KEY_FILE": str(folder / "ring"),
        "VOICEFLEET_CERTIFICATE_DIRECTORY": str(folder),
        "VOICEFLEET_POD_ADDRESS": "127.0.0.1",
        "VOICEFLEET_AGENT": "realtime",
        "VOICEFLEET_WORKERS": "4",
        **{f"VOICEFLEET_REALTIME_{name}": value for name, value in more.items()},
    }
    return load(TransceiverSettings, environment)


def test_models_are_named_in_the_order_in_which_they_are_used(tmp_path: Path) -> None:
    choice = agent_choice(_settings(tmp_path, URL="wss://one/v1/realtime,ws://two:1/x", HEADERS='{"X-Team": "voice"}'))
    assert choice.models is not None
    assert [endpoint.url for endpoint in choice.models.endpoints.all] == ["wss://one/v1/realtime", "ws://two:1/x"]
    assert choice.models.plan.headers == {"X-Team": "voice"} and not choice.files


def test_a_pods_limits_are_shared_out_among_its_workers(tmp_path: Path) -> None:
    limits = worker_limits(_settings(tmp_path, URL="wss://one/x", CALLS="10", CALLS_PER_MINUTE="240"))
    assert limits.calls == 2 and limits.rate == Rate(1.0, 10)


def test_the_models_key_is_read_again_and_a_bad_one_is_not_taken(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk-first\n")
    (key,) = agent_choice(_settings(tmp_path, URL="wss://one/x", KEY_FILE=str(file))).files
    assert key.value == "sk-first"
    file.write_text("sk-the-second\n")
    assert key.look() == "sk-the-second"
    file.write_text("two\nlines\n")
    assert (
        key.look() is None and key.value == "sk-the-second" and "lines" not in str(key.failure).replace("one line", "")
    )


@pytest.mark.parametrize(("name", "value"), [("URL", ""), ("URL", "https://one/x"), ("CALLS", "0")])
def test_what_can_not_be_is_said_at_the_start(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"VOICEFLEET_REALTIME_{name}"):
        _settings(tmp_path, **({"URL": "wss://one/x"} | {name: value}))
