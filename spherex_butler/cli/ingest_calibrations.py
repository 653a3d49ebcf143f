"""``butler spherex ingest-calibrations``."""

from __future__ import annotations

__all__ = ("ingest_calibrations",)

import json
import sys
from pathlib import Path

import click
from lsst.daf.butler import Butler

from ..calibrations import ingest
from ..calibrations.archive_ids import read_archive_ids
from ..files.placement import TRANSFER_MODES
from .progress import progress_bar

_EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_NEW_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("ingest-calibrations")
@click.argument("repo")
@click.argument("paths", nargs=-1, required=True)
@click.option(
    "-t",
    "--transfer",
    type=click.Choice(TRANSFER_MODES),
    default="auto",
    show_default=True,
    help="How files come in. auto links local files and copies remote ones; direct leaves them where they are.",
)
@click.option(
    "--certify",
    type=click.Choice(("latest", "release", "none")),
    default="latest",
    show_default=True,
    help="When they are valid. latest: the newest token holding the detector, always; release: the newest of each "
    "release, while its observations were made; none: see 'butler spherex certify'.",
)
@click.option("-j", "--processes", type=click.IntRange(1), default=1, show_default=True, help="Files looked at a time.")
@click.option(
    "--archive-ids",
    type=_EXISTING_FILE,
    help="YAML or JSON: the ids by which the archive's images name calibrations, by file name.",
)
@click.option("--report", "report_file", type=_NEW_FILE, help="Write what became of the files here, as JSON.")
@click.option("--progress/--no-progress", default=None, help="Show progress; by default in a terminal.")
def ingest_calibrations(
    repo: str,
    paths: tuple[str, ...],
    transfer: str,
    certify: str,
    processes: int,
    archive_ids: Path | None,
    report_file: Path | None,
    progress: bool | None,
) -> None:
    """Ingest calibration files into REPO, and say when they are valid.

    PATHS are files, folders, globs and URLs, named as the archive names them:
    dark_D3_spx_cal-drk-v4-2025-161.fits is the dataset type dark of detector 3
    in the run spx/cal-drk-v4-2025-161. A folder is searched for such files; in
    the archive's tree, …/qr2/dark/…, the release is known from the folder. A
    file that cannot be ingested is reported and the others go in; the exit
    status is then 1, as it is where a type could not be certified. What is in
    REPO already is skipped, so an interrupted ingest is finished by the same
    command.

    Only what is new takes the place of an older token that is valid; what was
    certified otherwise meanwhile stays. Detectors without any valid calibration
    get one, also of files that are skipped: after 'decertify' ingest with
    --certify none.

    From then on each image finds its calibrations: butler.get("dark",
    exposure=…, detector=…) in Python.

    \b
      butler spherex ingest-calibrations repo /archive/qr2 /archive/qr3
      butler spherex ingest-calibrations repo dark_D3_*.fits -t copy --certify none
      butler spherex ingest-calibrations repo https://host/qr2/dark/…/dark_D3_….fits
    """
    ids = None if archive_ids is None else read_archive_ids(archive_ids)
    with Butler.from_config(repo, writeable=True) as butler, progress_bar(show=progress):
        report = ingest.ingest_calibrations(
            butler,
            paths,
            transfer=transfer,
            certify=None if certify == "none" else certify,
            processes=processes,
            archive_ids=ids,
        )
    for line in report.details:
        click.echo(line, err=True)
    click.echo(report.summary)
    if report_file is not None:
        report_file.write_text(json.dumps(report.to_dict(), indent=2) + "\n", encoding="utf-8")
    sys.exit(1 if report.failed or report.not_certified else 0)
