"""``butler spherex ingest-calibrations``."""

from __future__ import annotations

__all__ = ("ingest_calibrations",)

import sys
from pathlib import Path
from typing import Any

import click

from ..calibrations import ingest
from ..calibrations.archive_ids import read_archive_ids
from ..calibrations.ranges import Rule
from ..calibrations.reports import CalibrationIngestReport
from ..repository.opening import open_butler
from . import options
from .certify import certify as certify_command
from .wording import as_options


@click.command("ingest-calibrations")
@options.repo
@click.argument("paths", nargs=-1, required=True)
@options.transfer()
@click.option(
    "--certify",
    type=click.Choice(("latest", "release", "none")),
    default="latest",
    show_default=True,
    help="When they are valid. latest: the newest token that has a file for the detector, always; release: the newest "
    "of each release, for the release's observations; none: certify them later with 'butler spherex certify'.",
)
@options.processes("Number of files inspected at the same time.")
@click.option(
    "--archive-ids",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML or JSON: file names of calibrations, and the ids by which the archive's images refer to them.",
)
@options.dry_run
@options.report
@options.progress
def ingest_calibrations(
    repo: str,
    paths: tuple[str, ...],
    *,
    certify: str,
    archive_ids: Path | None,
    dry_run: bool,
    output: Path | None,
    **choices: Any,
) -> None:
    """Ingest calibration files into REPO, and say when they are valid.

    PATHS are files, folders, globs and URLs, named as the archive names them:
    dark_D3_spx_cal-drk-v4-2025-161.fits is the dataset type dark of detector 3
    in the run spx/cal-drk-v4-2025-161. Folders are searched for such files; in
    the archive's tree, …/qr2/dark/…, the folder tells the release. Files that
    cannot be ingested are reported and do not stop the others. The exit status
    is 1 if a file failed or a type could not be certified. Files already in
    REPO are skipped, so the same command finishes an interrupted ingest.

    New files replace an older token that is valid; ranges that were since
    certified by another rule stay. Detectors without any valid calibration get
    one, even from skipped files: after 'decertify', ingest with --certify none.

    Each image then finds its calibrations: butler.get("dark", exposure=…,
    detector=…) in Python.

    \b
      butler spherex ingest-calibrations repo /archive/qr2 /archive/qr3
      butler spherex ingest-calibrations repo dark_D3_*.fits -t copy --certify none
      butler spherex ingest-calibrations repo https://host/qr2/dark/…/dark_D3_….fits
    """
    report = CalibrationIngestReport()
    ids = None if archive_ids is None else read_archive_ids(archive_ids)
    with open_butler(repo, writeable=not dry_run) as butler:
        how: Any = {"certify": None if certify == "none" else Rule(certify), "archive_ids": ids, "dry_run": dry_run}
        with options.always_said(lambda: _say(report, output, dry_run=dry_run), if_only=lambda: report.done):
            ingest.ingest_calibrations(butler, paths, report=report, **how, **choices)
    sys.exit(bool(report.failed or report.not_certified))


def _say(report: CalibrationIngestReport, output: Path | None, *, dry_run: bool) -> None:
    details = [as_options(line, certify_command) for line in report.details]  # by which it is certified later
    options.say(details, f"{options.PLANNED if dry_run else ''}{report.summary}")
    options.write_json(output, report.to_dict())
