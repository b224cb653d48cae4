from pathlib import Path

import pytest

from tests.support.project_copy import ProjectCopy


@pytest.fixture
def project(tmp_path: Path) -> ProjectCopy:
    return ProjectCopy.at(tmp_path / "project")
