"""``butler spherex report``."""

from __future__ import annotations

__all__ = ("report",)

from pathlib import Path

import click

from ..report import write_report
from ..repository.opening import open_butler
from . import options


@click.command(short_help="Show what a repository holds, as a page for a browser.")
@options.repo
@options.new_file("page", required=True)
@click.option("--verify", is_flag=True, help="Check the repository first, as 'butler spherex verify' does.")
@click.option(
    "--verified",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Show what 'butler spherex verify --report FILE' found.",
)
@options.progress
def report(repo: str, *, output: Path, overwrite: bool, verify: bool, verified: Path | None) -> None:
    """Write a page about REPO that opens in a browser: one file, without network or script.

    It shows images by planning period, detector, release and survey, a map of
    how often the sky was seen, the 102 spectral channels, which processings are
    superseded, calibrations and when they are valid, and what a check found.

    Everything is counted in the registry, in some minutes for millions of
    images. A check takes longer, and is made with --verify only; --verified
    shows one that was made before.

    \b
      butler spherex report repo -o report.html
      butler spherex report repo -o report.html --verify --overwrite
      butler spherex verify repo --report found.json
      butler spherex report repo -o report.html --verified found.json
    """
    if verify and verified is not None:
        raise click.UsageError("--verify makes a check, and --verified shows another; give one of them.")
    with open_butler(repo) as butler:
        write_report(butler, output, overwrite=overwrite, verify=verify if verified is None else verified, repo=repo)
    options.say((), f"Wrote {output} ({output.stat().st_size / 1000:,.0f} kB).")
