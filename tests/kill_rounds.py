"""Ingests killed at random moments, round by round, each of fresh files into the same repository, and what is left.

In a process that has imported everything and forks for each ingest: the time
of a test would otherwise go by in imports.
"""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from lsst.daf.butler import Butler

from spherex_butler.ingest import ingest_files
from spherex_butler.names import parse_product_name

BATCH_SIZE = 2  # so that there is something between nothing and all


def run_rounds(repo: Path, pristine: Path, work: Path, *, transfer: str, rounds: int, seed: int) -> None:
    """Print for each round when the ingest was killed, how many files were registered then, and what was wrong."""
    moments = random.Random(seed)
    first, second, *folders = sorted(pristine.iterdir())
    with Butler.from_config(repo, writeable=True) as butler:  # which loads all that each of them would load
        ingest_files(butler, shutil.copytree(first, work / first.name), transfer=transfer, batch_size=BATCH_SIZE)
    whole = ingested_until(repo, shutil.copytree(second, work / second.name), transfer, math.inf)
    for folder in folders[:rounds]:
        files = shutil.copytree(folder, work / folder.name)
        delay = moments.uniform(0, whole)
        ended = ingested_until(repo, files, transfer, delay)
        whole = min(whole, ended or whole)  # it was measured while the machine may have been busier
        found = in_child(lambda files=files, folder=folder: look(repo, folder, files, transfer))
        sys.stdout.write(json.dumps({"delay": delay, "ended": ended, **found}) + "\n")


def ingested_until(repo: Path, files: Path, transfer: str, delay: float) -> float | None:
    """Run an ingest and kill it some time after it has begun; return when it ended by itself, if it did."""
    child = begun(lambda ready: ingest_files_in(repo, files, transfer, ready))
    started = time.monotonic()
    while time.monotonic() - started < delay:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            assert status == 0, "the ingest failed by itself"
            return time.monotonic() - started
        time.sleep(min(0.002, delay))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def begun(ingest: Callable[[int], None]) -> int:
    """Start an ingest, and return its process when it has opened the repository."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        ingest(send)
        os._exit(0)
    os.close(send)
    assert os.read(receive, 1), "the ingest failed before it began"
    os.close(receive)
    return child


def in_child(action: Callable[[], dict]) -> dict:
    """Return what an action returns that is run in a process of its own."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        with os.fdopen(send, "w") as stream:
            json.dump(action(), stream)
        os._exit(0)
    os.close(send)
    with os.fdopen(receive) as stream:
        text = stream.read()
    assert os.waitpid(child, 0)[1] == 0, "the look at what is left failed"
    return json.loads(text)


def ingest_files_in(repo: Path, files: Path, transfer: str, ready: int) -> None:
    with Butler.from_config(repo, writeable=True) as butler:
        os.write(ready, b"!")
        ingest_files(butler, files, transfer=transfer, batch_size=BATCH_SIZE)


def look(repo: Path, pristine: Path, files: Path, transfer: str) -> dict:
    """Return what the repository holds after a kill, and after the same command again."""
    with Butler.from_config(repo, writeable=True) as butler:
        registered, problems = holdings(butler, pristine)
        problems += [f"lost: {path.name}" for path in pristine.iterdir() if not kept(path, files / path.name, repo)]
        if any(files.iterdir()):  # else all were moved, and there is nothing to give again
            problems += map(str, ingest_files(butler, files, transfer=transfer, batch_size=BATCH_SIZE).failed)
        finally_there, others = holdings(butler, pristine)
    problems += others
    problems += [f"left: {path}" for path in repo.rglob("*.part")]
    if transfer == "move":
        problems += [f"not moved: {path}" for path in files.iterdir()]
    if finally_there != len(list(pristine.iterdir())):
        problems.append(f"{finally_there} are registered in the end")
    return {"registered": registered, "problems": problems}


def holdings(butler: Butler, pristine: Path) -> tuple[int, list[str]]:
    """Return how many of some files are registered, and which of these are not whole."""
    wanted = {parse_product_name(path.name).run for path in pristine.iterdir()}
    runs = [run for run in butler.collections.query("spx/*") if run in wanted]
    refs = butler.query_datasets("level2", runs, find_first=False, explain=False) if runs else []
    problems = []
    for ref in refs:
        uri = butler.getURI(ref)
        if uri.read() != (pristine / uri.basename()).read_bytes() or butler.get(ref).shape != (16, 16):
            problems.append(f"not whole: {uri}")
    return len(refs), problems


def kept(original: Path, source: Path, repo: Path) -> bool:
    """Whether a file of the user's is where it was, or whole in the repository."""
    places = [source] if source.exists() else [*repo.rglob(original.name)]
    return any(place.read_bytes() == original.read_bytes() for place in places)
