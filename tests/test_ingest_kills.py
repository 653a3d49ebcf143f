"""Ingests that are killed: the repository stays whole, no file is lost, and the same command finishes the work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import kill_rounds
import pytest
from lsst.daf.butler import Butler

from spherex_butler import make_repo
from spherex_butler.testing import write_exposures

ROUNDS = 16
SEED = 20260928


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of six small files for each round, and two more."""
    root = tmp_path_factory.mktemp("folders")
    for number in range(ROUNDS + 2):
        obs_id = f"2025W{20 + number}_1A_0100_1"
        write_exposures(
            root / f"{number:02d}", exposures=1, size=16, obs_id=obs_id, token=f"l2b-v21-2025-{300 + number}"
        )
    return root


@pytest.mark.parametrize("transfer", ["copy", "move", "direct", "symlink"])
def test_kill_at_any_moment_loses_nothing(folders, tmp_path, transfer):
    make_repo(tmp_path / "repo").close()
    command = [sys.executable, kill_rounds.__file__, tmp_path / "repo", folders, tmp_path / "files", transfer]
    done = subprocess.run(
        [*map(str, command), str(ROUNDS), str(SEED)], capture_output=True, text=True, check=False, timeout=300
    )
    print(done.stdout)  # when each was killed, with the seed: what a failure needs
    assert done.returncode == 0, done.stderr
    rounds = [json.loads(line) for line in done.stdout.splitlines()]
    assert [problem for found in rounds for problem in found["problems"]] == []
    assert len(rounds) == ROUNDS
    assert sum(found["ended"] is None for found in rounds) >= ROUNDS // 2
