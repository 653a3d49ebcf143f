"""``butler spherex ingest``."""

from __future__ import annotations

__all__ = ("ingest",)

import json
import sys
from itertools import chain
from pathlib import Path

import click
from lsst.daf.butler import Butler

from ..errors import SpherexButlerError
from ..files.paths import PathList, Paths, listed_paths
from ..files.placement import TRANSFER_MODES
from ..ingest.execution import ingest_files
from ..ingest.preview import IngestPreview, preview_ingest
from ..repository.reports import IngestReport
from .progress import progress_bar

_INTERRUPTED = 130  # as of a command that SIGINT ended


def _require_folder(_context: click.Context, _parameter: click.Parameter, path: Path | None) -> Path | None:
    """Refuse a file that could not be written before anything is done."""
    if path is not None and not path.parent.is_dir():
        raise click.BadParameter(f"{str(path.parent)!r} is no folder; expected one in which the report can be written.")
    return path


@click.command()
@click.argument("repo")
@click.argument("paths", nargs=-1)
@click.option(
    "-t",
    "--transfer",
    type=click.Choice(TRANSFER_MODES),
    default="auto",
    show_default=True,
    help="How files come in. auto links local files and copies remote ones; direct leaves them where they are.",
)
@click.option("-j", "--processes", type=click.IntRange(1), default=1, show_default=True, help="Readers of headers.")
@click.option("--files-from", metavar="FILE", help="A list of further PATHS, one a line; - for the standard input.")
@click.option("--release", help="The files' release, such as qr2; by default as path or processing version tells.")
@click.option("--update-records", is_flag=True, help="Replace exposures and regions that headers say otherwise of.")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be done and change nothing.")
@click.option(
    "--report",
    "output",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    callback=_require_folder,
    metavar="FILE",
    help="Write a report as JSON.",
)
@click.option("--progress/--no-progress", default=None, help="Show progress; by default in a terminal.")
def ingest(
    repo: str,
    paths: tuple[str, ...],
    transfer: str,
    processes: int,
    files_from: str | None,
    release: str | None,
    update_records: bool,
    dry_run: bool,
    output: Path | None,
    progress: bool | None,
) -> None:
    """Ingest Level 2 files into REPO.

    PATHS are files, folders, globs and URLs; of a URL only the headers are
    read. A file that cannot be ingested is reported and the others go in; the
    exit status is then 1. What is in REPO already is skipped, so an
    interrupted ingest is finished by the same command.

    \b
      butler spherex ingest repo /data/qr2 -t direct -j 2
      butler spherex ingest repo https://host/level2_….fits -t direct
      butler spherex ingest repo --files-from list.txt --dry-run
    """
    wanted = _paths(paths, files_from)
    report: IngestReport | IngestPreview = IngestReport.of_images()
    interrupted = False
    with Butler.from_config(repo, writeable=not dry_run) as butler, progress_bar(show=progress):
        try:
            if isinstance(report, IngestReport) and not dry_run:
                ingest_files(
                    butler,
                    wanted,
                    transfer=transfer,
                    processes=processes,
                    release=release,
                    update_records=update_records,
                    report=report,
                )
            else:
                report = preview_ingest(butler, wanted, transfer=transfer, processes=processes, release=release)
        except KeyboardInterrupt:
            interrupted = True
        except SpherexButlerError:
            _say(report, output, interrupted=True)
            raise
    _say(report, output, interrupted=interrupted)
    sys.exit(_INTERRUPTED if interrupted else 1 if report.failed else 0)


def _paths(paths: tuple[str, ...], files_from: str | None) -> Paths:
    if files_from is None and not paths:
        raise click.UsageError("There are no PATHS; expected some, or a list of them by --files-from.")
    if files_from is None:
        return paths
    return chain(paths, listed_paths(sys.stdin)) if files_from == "-" else PathList(files_from, before=paths)


def _say(report: IngestReport | IngestPreview, output: Path | None, *, interrupted: bool) -> None:
    if output is not None:
        content = {**report.to_dict(), "interrupted": interrupted}
        output.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for line in report.details:
        click.echo(line, err=True)
    click.echo(report.summary)
    if interrupted:
        click.echo("Interrupted. What is said above is done; the same command goes on with the rest.", err=True)
