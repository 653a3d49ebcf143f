"""Several processes that ingest at the same time, round by round."""

from __future__ import annotations

import os
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from lsst.daf.butler import Butler

from spherex_butler.ingest import ingest_files

_PATIENCE = float(os.environ.get("SPHEREX_BUTLER_TEST_PATIENCE", "120"))
"""Seconds."""


def ingest_at_once(
    repo: Path, rounds: Sequence[Sequence[Sequence[Path]]], transfer: str | Sequence[str]
) -> list[list[dict[str, Any]]]:
    """Return for each process the reports of its rounds.

    Parameters
    ----------
    repo
        The repository.
    rounds
        For each round, what each of the processes ingests.
    transfer
        How, or how each of the processes does it.
    """
    context = get_context("forkserver")
    modes = [transfer] * len(rounds[0]) if isinstance(transfer, str) else transfer
    barrier, answers = context.Barrier(len(rounds[0])), context.Queue()
    processes = [
        context.Process(target=_ingest, args=(number, barrier, answers, repo, modes[number]), kwargs={"rounds": of})
        for number, of in enumerate(zip(*rounds, strict=True))
    ]
    for process in processes:
        process.start()
    found = dict(answers.get(timeout=_PATIENCE) for _ in processes)
    for process in processes:
        process.join(_PATIENCE)
    return [found[number] for number in range(len(processes))]


def _ingest(
    number: int, barrier: Any, answers: Any, repo: Path, transfer: str, *, rounds: Sequence[Sequence[Path]]
) -> None:
    reports: list[dict[str, Any]] = []
    try:
        with Butler.from_config(repo, writeable=True) as butler:
            for paths in rounds:
                barrier.wait(_PATIENCE)
                reports.append(ingest_files(butler, paths, transfer=transfer).to_dict())
    finally:
        answers.put((number, reports))
