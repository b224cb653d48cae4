"""`scripts/bench` prints its table and its bars, and says by its status whether all are kept."""

import json

import pytest

from tests.support.project_copy import ProjectCopy

BENCH = """\
from tests.bench.report import Bar, Report, Row

TITLE = "What nothing costs"


def run(quick):
    value = 1.0 if quick else 2.0
    rows = [Row("nothing", "time", value, "us"), Row("yardstick", "time", 1234.5, "us")]
    return Report("nothing", rows, [Bar.at_most("nothing / yardstick", value, 1.5)], ["note: nothing was done"])
"""


@pytest.fixture
def bench(project: ProjectCopy) -> ProjectCopy:
    project.write("tests/bench/nothing.py", BENCH)
    return project


def test_the_table_comes_first_and_then_a_line_for_each_bar(bench: ProjectCopy) -> None:
    ran = bench.run("tests.bench", "nothing", "--quick")
    assert ran.status == 0
    assert ran.lines[0] == "What nothing costs"
    assert ran.lines[1].startswith("on cpu ")
    assert ran.lines[2:] == [
        "what       metric  value  unit",
        "nothing    time        1  us",
        "yardstick  time    1,234  us",
        "note: nothing was done",
        "bar nothing / yardstick: value 1, bar <= 1.5, ok",
    ]


def test_a_missed_bar_fails_the_bench_and_is_in_the_document(bench: ProjectCopy) -> None:
    file = bench.root / "out.json"
    ran = bench.run("tests.bench", "nothing", "--json", str(file))
    assert ran.status == 1
    assert ran.lines[-1] == "bar nothing / yardstick: value 2, bar <= 1.5, MISSED"
    document = json.loads(file.read_text())
    assert sorted(document) == ["bars", "bench", "machine", "rows"]
    assert document["bench"] == "nothing"
    assert document["rows"][0] == {"name": "nothing", "metric": "time", "value": 2.0, "unit": "us"}
    assert document["bars"] == [{"name": "nothing / yardstick", "value": 2.0, "bar": 1.5, "ok": False}]
    assert sorted(document["machine"]) == ["cores", "cpu", "kernel", "load", "python"]


def test_without_a_name_the_benches_are_listed(bench: ProjectCopy) -> None:
    ran = bench.run("tests.bench")
    assert "nothing          What nothing costs" in ran.lines
    assert ran.status == 0


def test_a_part_can_be_measured_alone(bench: ProjectCopy) -> None:
    parts = 'PARTS = {"half": lambda quick: Report("nothing", [Row("half of nothing", "time", 0.5, "us")])}\n'
    bench.write("tests/bench/nothing.py", BENCH + parts)
    ran = bench.run("tests.bench", "nothing.half")
    assert (ran.status, ran.lines[-1]) == (0, "half of nothing  time      0.5  us")
    assert "'nothing' has no part 'other'; it has: half" in bench.run("tests.bench", "nothing.other").lines[-1]


def test_an_unknown_bench_is_refused_with_those_there_are(bench: ProjectCopy) -> None:
    ran = bench.run("tests.bench", "everything")
    assert "there is no bench 'everything'; there are: nothing" in ran.lines[-1]
    assert ran.status == 2
