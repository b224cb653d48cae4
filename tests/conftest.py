"""Each test belongs to the tier whose folder it is in: that gives it its marker and its time limit.

A test that needs a part of the system which not every machine has says so by `@pytest.mark.needs(PART)`, with a PART of
tests/support/tiers.py. Where the part is missing it is skipped and named; under `scripts/test --all` it fails.
"""

import os
from pathlib import Path

import hypothesis
import pytest

from tests.support import machine
from tests.support.tiers import TIERS

TESTS = Path(__file__).parent

# No deadline: a slow machine is no finding. In CI the same examples each time, so that a landing does not hang on luck;
# new ones are looked for wherever a person runs the tests.
hypothesis.settings.register_profile("person", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "person")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers."""
    for tier in TIERS:
        config.addinivalue_line("markers", f"{tier.name}: {tier.purpose} (by its folder)")
    config.addinivalue_line("markers", "needs(*parts): parts of the system, from tests/support/tiers.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test the marker and the time limit of its tier."""
    tiers = {tier.name: tier for tier in TIERS}
    for item in items:
        tier = tiers.get(item.path.relative_to(TESTS).parts[0])
        if tier is None:
            continue
        item.add_marker(tier.name)
        if item.get_closest_marker("timeout") is None and tier.timeout:
            item.add_marker(pytest.mark.timeout(tier.timeout))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out, in words, a test whose parts of the system are missing."""
    for marker in item.iter_markers("needs"):
        for part in marker.args:
            lack = machine.lacks(part)
            if lack is None:
                continue
            reason = f"needs {part.name}: {lack}; {machine.remedy(part)}"
            if os.environ.get("VF_TEST_ALL"):
                pytest.fail(reason, pytrace=False)
            pytest.skip(reason)
