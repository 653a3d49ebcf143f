"""``butler spherex ingest``."""

from __future__ import annotations

__all__ = ("ingest",)

import sys

import click
from lsst.daf.butler import Butler

from ..ingest import ingest_files
from ..placement import TRANSFER_MODES
from ._progress import progress_bar


@click.command()
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
@click.option("-j", "--processes", type=click.IntRange(1), default=1, show_default=True, help="Readers of headers.")
@click.option("--release", help="The files' release, such as qr2; by default as path or processing version tells.")
@click.option("--progress/--no-progress", default=None, help="Show progress; by default in a terminal.")
def ingest(
    repo: str, paths: tuple[str, ...], transfer: str, processes: int, release: str | None, progress: bool | None
) -> None:
    """Ingest Level 2 files into REPO.

    PATHS are files, folders, globs and URLs; of a URL only the headers are
    read. A file that cannot be ingested is reported and the others go in; the
    exit status is then 1. What is in REPO already is skipped, so an
    interrupted ingest is finished by the same command.

    \b
      butler spherex ingest repo /data/qr2 -t direct
      butler spherex ingest repo https://host/level2_….fits -t direct
    """
    with Butler.from_config(repo, writeable=True) as butler, progress_bar(show=progress):
        report = ingest_files(butler, paths, transfer=transfer, processes=processes, release=release)
    for line in (*report.warnings, *map(str, report.failed)):
        click.echo(line, err=True)
    click.echo(report.summary)
    sys.exit(1 if report.failed else 0)
