"""Redundancy comes at once when loss does, and goes slowly."""

from voicefleet.core.media.redundancy import CALM, DownlinkReport, Redundancy, SteppedRedundancy


def test_a_clean_path_carries_nothing_extra() -> None:
    policy = SteppedRedundancy()
    for second in range(60):
        assert policy.decide(DownlinkReport(0.0, 0.05), float(second)) == Redundancy()


def test_each_amount_of_loss_has_its_step() -> None:
    for loss, copies, fec in ((0.005, 0, False), (0.012, 0, True), (0.03, 1, True), (0.12, 2, True)):
        decided = SteppedRedundancy().decide(DownlinkReport(loss), 0.0)
        assert (decided.copies, decided.fec_loss > 0) == (copies, fec)


def test_one_calm_report_between_two_bursts_changes_nothing() -> None:
    policy = SteppedRedundancy()
    for second, loss in enumerate((0.1, 0.0, 0.1, 0.0, 0.1, 0.0)):
        assert policy.decide(DownlinkReport(loss), float(second)).copies == 2


def test_redundancy_is_taken_back_step_by_step_when_the_path_stays_calm() -> None:
    policy = SteppedRedundancy()
    policy.decide(DownlinkReport(0.1), 0.0)
    copies = [policy.decide(DownlinkReport(0.0), float(second)) for second in range(1, 60)]
    assert [decided.copies for decided in copies] == sorted((d.copies for d in copies), reverse=True)
    assert copies[int(CALM) - 2].copies == 2
    assert {decided.copies for decided in copies} == {2, 1, 0}
    assert copies[-1] == Redundancy()


def test_a_full_queue_is_not_filled_further() -> None:
    policy = SteppedRedundancy()
    policy.decide(DownlinkReport(0.0, 0.05), 0.0)
    policy.decide(DownlinkReport(0.012, 0.05), 1.0)
    full = policy.decide(DownlinkReport(0.12, 0.6), 2.0)
    assert full.copies == 0
    assert policy.decide(DownlinkReport(0.12, 0.06), 3.0).copies == 2


def test_nonsense_in_a_report_is_taken_as_the_nearest_sense() -> None:
    assert SteppedRedundancy().decide(DownlinkReport(7.0), 0.0) == Redundancy(2, 30)
    assert SteppedRedundancy().decide(DownlinkReport(-1.0), 0.0) == Redundancy()
