"""What applying a file would do to an object: as kubectl does it."""

from voicefleet.cli.planned_changes import Change, differences, three_way


def test_what_the_file_said_and_says_no_more_is_taken_away_and_what_others_set_stays() -> None:
    last = {"spec": {"replicas": 1, "region": "west", "limits": {"flows": 10, "idle": "1m"}}}
    new = {"spec": {"replicas": 2, "limits": {"flows": 10}}}
    assert three_way(last, new) == {"spec": {"region": None, "replicas": 2, "limits": {"idle": None, "flows": 10}}}


def test_differences_are_told_by_path_and_a_list_is_one_value() -> None:
    old = {"spec": {"a": 1, "b": {"c": [1, 2]}, "same": {"x": 1}}}
    new = {"spec": {"a": 2, "b": {"c": [1]}, "same": {"x": 1}, "new": True}}
    found = list(differences(old, new))
    assert found == [Change("spec.a", 1, 2), Change("spec.b.c", [1, 2], [1]), Change("spec.new", None, True)]
    assert found[2].sentence() == "spec.new: none -> true"
