"""Ingests that are killed: the repository stays whole, no file is lost, and the same command finishes the work."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forked import start_script

import spherex_butler
from spherex_butler.testing import write_exposures

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(spherex_butler.__file__).parents[1])}
ROUNDS = 8
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


KILL = """
import sys
from pathlib import Path
from kill_rounds import run_rounds
*folders, transfer, rounds, seed = sys.argv[1:]
run_rounds(*map(Path, folders), transfer=transfer, rounds=int(rounds), seed=int(seed))
"""


@pytest.mark.parametrize(("transfer", "rounds"), [("copy", ROUNDS), ("move", ROUNDS), ("direct", 4), ("symlink", 4)])
def test_kill_at_any_moment_loses_nothing(folders, empty_repo, tmp_path, transfer, rounds):
    given = (KILL, empty_repo, folders, tmp_path / "files", transfer, rounds, SEED)
    script = start_script(*given, folder=tmp_path / "elsewhere")
    status = script.wait()
    sys.stdout.write(script.said)  # when each was killed, with the seed: what a failure needs
    assert status == 0
    found = [json.loads(line) for line in script.output.splitlines()]
    assert [problem for round_ in found for problem in round_["problems"]] == []
    assert len(found) == rounds
    assert sum(round_["ended"] is None for round_ in found) >= rounds // 2


INGEST = """
import sys
from lsst.daf.butler import Butler
from spherex_butler.ingest import ingest_files

if __name__ == "__main__":
    with Butler.from_config(sys.argv[1], writeable=True) as butler:
        ingest_files(butler, sys.argv[2], transfer="copy", processes=2)
"""


def test_readers_of_headers_end_with_an_ingest_that_is_killed(folders, empty_repo, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(INGEST)
    ingest = subprocess.Popen([sys.executable, script, empty_repo, folders], env=ENVIRONMENT)
    readers = awaited(lambda: [pid for pid in descendants(ingest.pid) if "forkserver" in command_of(pid)][1:])
    ingest.send_signal(signal.SIGKILL)
    assert ingest.wait(10) == -signal.SIGKILL
    assert awaited(lambda: not any(map(command_of, readers)))


def awaited(found: Callable[[], Any], patience: float = 60.0) -> Any:
    """Return what is found as soon as it is something."""
    until = time.monotonic() + patience
    while not (result := found()) and time.monotonic() < until:
        time.sleep(0.01)
    assert result, "nothing came of it"
    return result


def descendants(pid: int) -> list[int]:
    with contextlib.suppress(FileNotFoundError):
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return [*children, *(grandchild for child in children for grandchild in descendants(child))]
    return []


def command_of(pid: int) -> str:
    """Return what a process runs, nothing of one that has ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""
