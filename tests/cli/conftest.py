"""An empty repository for each test of a command."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_once import copy_repo


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return copy_repo(tmp_path / "repo")
