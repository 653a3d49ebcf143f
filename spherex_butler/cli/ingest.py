"""``butler spherex ingest``."""

from __future__ import annotations

__all__ = ("ingest",)

import sys
from itertools import chain
from pathlib import Path
from typing import Any

import click
from lsst.daf.butler import Butler

from ..files.paths import PathList, Paths, listed_paths
from ..ingest.execution import ingest_files
from ..ingest.preview import IngestPreview, preview_ingest
from ..repository.opening import open_butler
from ..repository.reports import IngestReport
from . import options


@click.command()
@options.repo
@click.argument("paths", nargs=-1)
@options.transfer()
@options.processes("Processes that read headers.")
@click.option("--files-from", metavar="FILE", help="A list of further PATHS, one per line; - for standard input.")
@click.option("--release", help="The files' release, such as qr2; by default taken from path or processing version.")
@click.option("--update-records", is_flag=True, help="Replace exposures and regions that differ from the headers.")
@options.dry_run
@options.report
@options.progress
def ingest(
    repo: str,
    paths: tuple[str, ...],
    *,
    files_from: str | None,
    update_records: bool,
    dry_run: bool,
    output: Path | None,
    **choices: Any,
) -> None:
    """Ingest Level 2 files into REPO.

    PATHS are files, folders, globs and URLs; only the headers are read from a
    URL. Files that cannot be ingested are reported and do not stop the others;
    the exit status is then 1. Files already in REPO are skipped, so the same
    command finishes an interrupted ingest.

    \b
      butler spherex ingest repo /data/qr2 -t direct -j 2
      butler spherex ingest repo https://host/level2_….fits -t direct
      butler spherex ingest repo --files-from list.txt --dry-run
    """
    wanted = _paths(paths, files_from)
    report: Any = IngestReport.of_images()
    with open_butler(repo, writeable=not dry_run) as butler:
        if dry_run:
            report = preview_ingest(butler, wanted, update_records=update_records, **choices)
            _say(report, output, interrupted=False)
        else:
            _ingest(butler, wanted, report, output, update_records=update_records, **choices)
    sys.exit(bool(report.failed))


def _ingest(butler: Butler, wanted: Paths, report: IngestReport, output: Path | None, **choices: Any) -> None:
    """Ingest, and say what was done also if an error or an interrupt ends it; the boundary says that one."""
    try:
        ingest_files(butler, wanted, report=report, **choices)
    except BaseException as error:
        if report.done or isinstance(error, KeyboardInterrupt):
            _say(report, output, interrupted=True)
        else:
            _write(report, output, interrupted=True)
        raise
    _say(report, output, interrupted=False)


def _paths(paths: tuple[str, ...], files_from: str | None) -> Paths:
    if files_from is None and not paths:
        raise click.UsageError("There are no PATHS; expected some, or a list of them by --files-from.")
    if files_from is None:
        return paths
    return chain(paths, listed_paths(sys.stdin)) if files_from == "-" else PathList(files_from, before=paths)


def _say(report: IngestReport | IngestPreview, output: Path | None, *, interrupted: bool) -> None:
    _write(report, output, interrupted=interrupted)
    options.say(report.details, report.summary)


def _write(report: IngestReport | IngestPreview, output: Path | None, *, interrupted: bool) -> None:
    options.write_json(output, {**report.to_dict(), "interrupted": interrupted})
