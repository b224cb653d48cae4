"""A watch that died silently is noticed: what was written does not come back."""

from typing import Any

from voicefleet_operator.reconcile.echoes import LATE, LOST, Echoes


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def service(version: str) -> dict[str, Any]:
    return {"kind": "Service", "metadata": {"namespace": "voice", "name": "edge", "resourceVersion": version}}


def test_what_comes_back_or_goes_is_not_missing() -> None:
    clock = Clock()
    echoes = Echoes(clock)
    echoes.wrote(service("10"))
    echoes.heard(service("12"), False)  # somebody wrote after us, and the watch told only of that
    echoes.wrote(service("13"))
    echoes.heard(service("13"), True)
    clock.now = LOST * 2
    assert echoes.missing(LATE) == []


def test_an_older_version_is_no_echo_and_more_writes_do_not_hide_that_none_comes() -> None:
    clock = Clock()
    echoes = Echoes(clock)
    echoes.wrote(service("100"))
    echoes.heard(service("99"), False)
    for second in range(int(LATE) + 2):
        clock.now = float(second)
        echoes.wrote(service(str(101 + second)))
    assert echoes.missing(LATE) == [("Service", "voice", "edge")] and echoes.missing(LOST) == []
