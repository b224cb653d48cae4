"""How much data-channel traffic one call may bring."""

from voicefleet.core.transceiver.flood_gate import BURST, RATE, FloodGate, Verdict


def verdicts(gate: FloodGate, rate: float, seconds: float, start: float = 0.0) -> list[Verdict]:
    return [gate.weigh(start + number / rate) for number in range(int(rate * seconds))]


def test_an_image_at_once_and_events_all_day_are_taken() -> None:
    gate = FloodGate(0.0)
    assert {gate.weigh(0.0) for _ in range(int(BURST) - 1)} == {Verdict.TAKE}
    assert set(verdicts(gate, RATE / 2, 60.0, 10.0)) == {Verdict.TAKE}


def test_who_sends_too_fast_is_slowed_to_the_rate_and_not_closed_while_it_slows_down() -> None:
    gate = FloodGate(0.0)
    verdicts(gate, RATE * 2, 4.0)
    later = verdicts(gate, RATE * 1.1, 30.0, 4.0)
    assert Verdict.CLOSE not in later
    assert abs(later.count(Verdict.TAKE) / 30.0 - RATE) < RATE * 0.03


def test_who_floods_all_the_same_is_closed_within_seconds() -> None:
    assert Verdict.CLOSE in verdicts(FloodGate(0.0), RATE * 5, 5.0)
