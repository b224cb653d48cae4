"""Log lines as an SRE searches them: one form for all libraries, the session on each, a secret on none."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry

from voicefleet.observability import logs
from voicefleet.observability.redaction import HIDDEN, Redactor

HUSH = "h4sh-4711-abcdef"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root, hooks = logging.getLogger(), (sys.excepthook, logging.getLogger().level)
    text = io.StringIO()
    logs.configure("relay", format="json", level="debug", stream=text)
    yield text
    for handler in [handler for handler in root.handlers if type(handler).__module__ == logs.__name__]:
        root.removeHandler(handler)
    sys.excepthook = hooks[0]
    root.setLevel(hooks[1])
    logging.captureWarnings(False)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def line(stream: io.StringIO) -> dict[str, Any]:
    (only,) = lines(stream)
    return only


def test_a_line_is_json_with_service_level_time_and_logger(stream: io.StringIO) -> None:
    logs.logger("voicefleet.relay").info("flow opened", client="192.0.2.1")
    told = line(stream)
    assert told.pop("timestamp").endswith("Z")
    assert told == {
        "event": "flow opened",
        "client": "192.0.2.1",
        "level": "info",
        "logger": "voicefleet.relay",
        "service": "relay",
    }


@pytest.mark.parametrize("library", ["aiohttp.server", "kopf.objects", "redis", "voicefleet.net.key_file"])
def test_a_library_s_line_looks_like_ours(stream: io.StringIO, library: str) -> None:
    logging.getLogger(library).warning("%s is slow", "redis", extra={"k8s_ref": {"name": "fra"}})
    told = line(stream)
    assert (told["event"], told["service"], told["logger"]) == ("redis is slow", "relay", library)
    assert told["k8s_ref"] == {"name": "fra"}


def test_a_session_s_logger_names_it_on_every_line(stream: io.StringIO) -> None:
    logs.for_session("media", "rtc_9").info("first audio")
    assert line(stream)["session"] == "rtc_9"


SECRETS: dict[str, dict[str, Any]] = {
    "a field": {"password": HUSH},
    "a header": {"headers": {"Authorization": f"Bearer {HUSH}", "Cookie": HUSH}},
    "deep inside": {"request": {"sessions": [{"client_secret": {"value": HUSH}}]}},
    "an object": {"request": type("Request", (), {"__str__": lambda _: f"<token={HUSH}>"})()},
    "octets": {"body": HUSH.encode()},
    "beyond the depth": {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": HUSH}}}}}}}},
    "a key of a mapping": {"seen": {f"Bearer {HUSH}": 1}},
}


@pytest.mark.parametrize("where", SECRETS)
def test_a_secret_field_is_hidden_wherever_it_stands(stream: io.StringIO, where: str) -> None:
    logs.logger("x").info("request", **SECRETS[where])
    logging.getLogger("aiohttp.server").error("request", extra=SECRETS[where])
    assert len(lines(stream)) == 2
    assert HUSH not in stream.getvalue()


TEXTS = (
    f"ek_{HUSH}",
    f"sk-proj-{HUSH}",
    f"Authorization: Bearer {HUSH}",
    f"bearer   {HUSH}",
    f"Basic {HUSH}==",
    f"redis://:{HUSH}@redis:6379/0",
    f"rediss://user:{HUSH}@redis:6379/0",
    f"GET /v1/realtime?token={HUSH}&model=x HTTP/1.1",
    f'{{"api_key": "{HUSH}"}}',
    f"{{'client_secret': '{HUSH}'}}",
    f"password = {HUSH}",
    f"a=ice-pwd:{HUSH}",
    f"-----BEGIN EC PRIVATE KEY-----\n{HUSH}\n-----END EC PRIVATE KEY-----",
    f"-----BEGIN PRIVATE KEY-----\n{HUSH}",
    f"eyJhbGciOiJIUzI1NiJ9.{HUSH}.{HUSH}",
)


@pytest.mark.parametrize("text", TEXTS)
def test_a_value_that_looks_like_a_secret_is_hidden_in_messages_and_tracebacks(stream: io.StringIO, text: str) -> None:
    logs.logger("x").info(text)
    logging.getLogger("aiohttp.access").info("%s", text)
    try:
        raise ValueError(text)
    except ValueError as error:
        logs.logger("x").exception("failed", why=error)
        logging.getLogger("kopf.objects").exception("failed: %s", error)
    told = lines(stream)
    assert len(told) == 4
    assert "Traceback" in told[2]["exception"] and "Traceback" in told[3]["exception"]
    assert HUSH not in stream.getvalue()
    assert HIDDEN in stream.getvalue()


def test_a_learnt_secret_is_hidden_whatever_it_looks_like(stream: io.StringIO) -> None:
    redactor = Redactor()
    redactor.learn("correct horse battery", "ab")
    assert redactor.text("it was: correct horse battery, abc") == f"it was: {HIDDEN}, abc"


@pytest.mark.parametrize(
    "text",
    [
        "token of an unknown key dropped, token opened",
        "the secret is in demo-keys",
        "task-based asked risk-free desk_top",
        "https://model.example:8443/v1/realtime",
        "2001:db8::1 -> [2001:db8::2]:3478",
        "basic fleet is ready",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    assert Redactor().text(text) == text


def test_counts_of_tokens_stay() -> None:
    fields = {"tokens_opened": 5, "output_tokens": 12, "max_tokens": "inf"}
    assert Redactor()(None, "info", fields) == fields


def test_on_a_terminal_a_line_is_readable_and_in_a_pod_it_is_json(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    terminal = Terminal()
    logs.configure("relay", stream=terminal)
    try:
        raise ValueError(f"Bearer {HUSH}")
    except ValueError:
        secret_local = HUSH
        logs.logger("x").exception("relay started", pool="fra")
    assert "relay started" in terminal.getvalue() and "Traceback" in terminal.getvalue()
    assert secret_local not in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    in_pod = Terminal()
    logs.configure("relay", stream=in_pod)
    logs.logger("x").info("relay started")
    assert line(in_pod)["event"] == "relay started"
    assert stream.getvalue() == ""


def test_levels_below_the_set_one_and_access_lines_are_not_written(stream: io.StringIO) -> None:
    logs.configure("relay", format="json", level="info", stream=stream)
    logs.logger("x").debug("packet")
    logging.getLogger("aiohttp.access").info("GET /livez")
    logging.getLogger("aioice").info("check")
    assert stream.getvalue() == ""


def test_a_line_that_cannot_be_written_is_counted_and_disturbs_nobody(stream: io.StringIO) -> None:
    registry = CollectorRegistry()
    registry.register(logs.LogMetrics())

    def count(level: str) -> float:
        return registry.get_sample_value("voicefleet_log_lines_total", {"level": level}) or 0.0

    before, errors = count("lost"), count("error")
    closed = io.StringIO()
    logs.configure("relay", format="json", stream=closed)
    closed.close()
    logs.logger("x").error("unheard")
    assert count("lost") == before + 1
    assert count("error") == errors + 1


def test_what_ends_a_process_is_one_json_line_without_a_secret() -> None:
    code = (
        "from voicefleet.observability import logs\n"
        "logs.configure('relay', format='json')\n"
        f"raise RuntimeError('cannot reach redis://:{HUSH}@redis')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    told = json.loads(done.stderr)
    assert (told["event"], told["level"], told["service"]) == ("ended by an error", "critical", "relay")
    assert "RuntimeError" in told["exception"] and HUSH not in done.stderr
