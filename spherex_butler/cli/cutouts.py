"""``butler spherex cutouts``."""

from __future__ import annotations

__all__ = ("cutout_size", "cutouts")

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import astropy.units as u
import click

from ..errors import ParameterError
from ..images.cutouts import sides_of
from ..images.level2 import PLANES
from ..repository.opening import open_to_remember
from ..search.cutout_plan import CutoutRequest, plan_cutouts
from ..search.cutout_report import Cutouts, FailedCutout, by_reason
from ..search.cutouts import CONNECTIONS, get_cutouts
from ..search.reading import read_table
from . import options

_SHOWN = 20


def cutout_size(_context: click.Context, _parameter: click.Parameter, text: str | None) -> u.Quantity | None:
    """Return one side, or height and width."""
    if text is None:
        return None
    try:
        sides = [u.Quantity(side) for side in text.split(",")]
        return sides_of(u.Quantity(sides if len(sides) > 1 else sides[0]))
    except (ParameterError, TypeError, ValueError):
        raise click.BadParameter(
            f"{text!r} is not a size; expected an angle such as 3arcmin, pixels such as 64, or HEIGHT,WIDTH."
        ) from None


@click.command()
@options.repo
@click.argument("table")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--size",
    required=True,
    callback=cutout_size,
    metavar="SIZE",
    help="Side length: an angle such as 3arcmin, or pixels such as 64; or HEIGHT,WIDTH.",
)
@click.option(
    "--planes",
    metavar="NAMES",
    callback=lambda _context, _parameter, text: text and text.split(","),
    help=f"Planes to write besides IMAGE, comma-separated: any of {', '.join(PLANES)}. By default all.",
)
@click.option(
    "--connections",
    type=click.IntRange(1),
    default=CONNECTIONS,
    show_default=True,
    help="Maximum number of simultaneous requests to one server.",
)
@options.dry_run
@options.report
@options.progress
def cutouts(
    repo: str,
    table: str,
    folder: Path,
    *,
    size: u.Quantity,
    planes: Sequence[str] | None,
    connections: int,
    dry_run: bool,
    output: Path | None,
) -> None:
    """Write a cutout to FOLDER for each row of TABLE, each as a FITS file.

    TABLE is a file that 'butler spherex search' wrote, or any ECSV, CSV,
    VOTable, FITS or Parquet file with the column dataset_id, and with ra and
    dec (degrees) or x and y (pixels of the full frame). A column source names
    the files. Only the parts a cutout needs are read from a remote image.
    Cutouts already in FOLDER are not read again, so the same command resumes
    an interrupted run. Rows without a cutout are reported and do not stop the
    others; the exit status is then 1.

    After a server has refused five images in a row, it is not asked again.

    \b
      butler spherex cutouts repo images.ecsv cutouts --size 3arcmin
      butler spherex cutouts repo images.ecsv cutouts --size 64 --planes FLAGS,VARIANCE,WCS-WAVE
      butler spherex cutouts repo images.csv cutouts --size 2arcmin,4arcmin --dry-run
    """
    with open_to_remember(repo) as butler:
        if dry_run:
            plan = plan_cutouts(butler, read_table(table), CutoutRequest.of(size, planes, folder))
            _say(plan.failed, f"{options.PLANNED}{plan.summary}", output, plan.to_dict())
            sys.exit(bool(plan.failed))
        done = Cutouts()
        with options.always_said(
            lambda: _say(done.failed, done.summary, output, done.to_dict()), if_only=lambda: done.done
        ):
            get_cutouts(butler, table, size, folder=folder, planes=planes, connections=connections, report=done)
    sys.exit(bool(done.failed))


def _say(failed: Sequence[FailedCutout], summary: str, path: Path | None, content: Mapping[str, Any]) -> None:
    """Say what became of cutouts, and write it to a report if a path is given."""
    lines = by_reason(failed)
    details = lines[:_SHOWN]
    if len(lines) > _SHOWN:
        details.append(f"… and {len(lines) - _SHOWN} more; {path or '--report FILE'} has all.")
    options.say(details, summary)
    options.write_json(path, content)
