"""What relays say of themselves becomes figures to scale by, and never too small ones."""

from voicefleet_operator.reconcile.relays import Carried, Sample, read

SAID = """# HELP voicefleet_relay_packets_total Packets forwarded.
# TYPE voicefleet_relay_packets_total counter
voicefleet_relay_packets_total{direction="uplink",service="relay",tier="userspace"} 1000.0
voicefleet_relay_packets_total{direction="downlink",service="relay",tier="kernel"} 1.5e+06
voicefleet_relay_flows{service="relay",state="confirmed"} 41.0
voicefleet_relay_flows{service="relay",state="pending"} 7.0
voicefleet_relay_kernel_flows 40.0
"""


def test_flows_are_confirmed_ones_and_packets_those_of_both_tiers() -> None:
    assert read(SAID) == Carried(41, 1_501_000.0)


def test_what_is_no_relay_says_nothing() -> None:
    assert read("") is None and read("<html>voicefleet_relay_flows</html>") is None


def test_a_silent_relay_makes_the_figures_incomplete() -> None:
    assert not Sample(0.0, {}).complete
    assert not Sample(0.0, {"a": Carried(3, 9.0), "b": None}).complete
    both = Sample(0.0, {"a": Carried(3, 9.0), "b": Carried(5, 1.0)})
    assert both.complete and (both.flows, both.most_flows) == (8, 5)


def test_a_rate_leaves_out_who_is_new_or_has_restarted() -> None:
    before = Sample(10.0, {"a": Carried(1, 1000.0), "restarted": Carried(1, 9000.0)})
    after = Sample(12.0, {"a": Carried(1, 1500.0), "restarted": Carried(1, 10.0), "new": Carried(1, 70.0)})
    assert after.packets_per_second(before) == 250.0
    assert after.packets_per_second(None) is None and before.packets_per_second(before) is None
    assert Sample(13.0, {"new": Carried(1, 1.0)}).packets_per_second(before) is None
