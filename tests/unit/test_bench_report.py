import json

from tests.bench.report import Bar, Report, Row


def test_a_bar_holds_at_its_very_value() -> None:
    assert Bar.at_most("cost", 1.0, 1.0).ok
    assert Bar.at_least("speed", 1.0, 1.0).ok


def test_a_missed_bar_is_told_and_fails_the_report() -> None:
    bars = [Bar.at_most("cost", 1.01, 1.0), Bar.at_least("speed", 0.99, 1.0), Bar.at_least("size", 3.0, 1.0)]
    report = Report("x", [Row("a", "time", 12345.6, "us")], bars, ["a note"])
    assert not report.ok
    assert report.text().splitlines() == [
        "what  metric   value  unit",
        "a     time    12,346  us",
        "a note",
        "bar cost: value 1.01, bar <= 1, MISSED",
        "bar speed: value 0.99, bar >= 1, MISSED",
        "bar size: value 3, bar >= 1, ok",
    ]


def test_a_part_measured_again_leaves_what_it_says_nothing_about() -> None:
    first = Report("x", [Row("a", "time", 1.0, "us"), Row("b", "size", 2.0, "octets")], [Bar.at_most("cost", 3.0, 1.0)])
    again = Report("x", [Row("a", "time", 4.0, "us")], [Bar.at_least("speed", 2.0, 1.0)])
    merged = again.beside(json.loads(first.json({})))
    assert [(row.name, row.value) for row in merged.rows] == [("b", 2.0), ("a", 4.0)]
    assert [(bar.name, bar.ok) for bar in merged.bars] == [("cost", False), ("speed", True)]
