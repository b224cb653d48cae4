"""What a user can get wrong is refused by the API server, in a sentence that names the field."""

from typing import Any

import pytest

from tests.support.kubernetes.api_server import ApiServer
from tests.support.kubernetes.bad_resources import CHANGED, GOOD, REFUSED, document, merged


def test_the_table_has_sixty_rows_and_more() -> None:
    assert len({row[0] for row in REFUSED}) == len(REFUSED) >= 60


@pytest.mark.parametrize(
    ("kind", "change", "field", "words"), [row[1:] for row in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_a_bad_resource_is_refused(plane: ApiServer, kind: str, change: dict[str, Any], field: str, words: str) -> None:
    text = document(kind, merged(GOOD[kind], change))
    ran = plane.kubectl("apply", "--dry-run=server", "-f", "-", stdin=text)
    assert ran.returncode != 0, "it was accepted"
    assert field in ran.stderr and words in ran.stderr, ran.stderr


@pytest.mark.parametrize(
    ("kind", "change", "field", "words"), [row[1:] for row in CHANGED], ids=[r[0] for r in CHANGED]
)
def test_what_cannot_change_is_kept(
    plane: ApiServer, namespace: str, kind: str, change: dict[str, Any], field: str, words: str
) -> None:
    apply = ("apply", "-n", namespace, "-f", "-")
    good = plane.kubectl(*apply, stdin=document(kind, GOOD[kind], "good"))
    assert good.returncode == 0, good.stderr
    ran = plane.kubectl(*apply, stdin=document(kind, merged(GOOD[kind], change), "good"))
    assert ran.returncode != 0, "it was accepted"
    assert field in ran.stderr and words in ran.stderr, ran.stderr


@pytest.mark.parametrize("kind", GOOD)
@pytest.mark.parametrize("name", ["1st", "a" * 41, "dotted.name"])
def test_a_name_that_no_service_could_have_is_refused(plane: ApiServer, kind: str, name: str) -> None:
    ran = plane.kubectl("apply", "--dry-run=server", "-f", "-", stdin=document(kind, GOOD[kind], name))
    if kind == "ScalingPolicy":  # nothing is named after it
        assert ran.returncode == 0, ran.stderr
    else:
        assert ran.returncode != 0 and "metadata.name must" in ran.stderr, ran.stderr
