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
from ..search.cutout_report import Cutouts, FailedCutout
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
    help="Full side: an angle such as 3arcmin, or pixels such as 64; or HEIGHT,WIDTH.",
)
@click.option(
    "--planes",
    metavar="NAMES",
    callback=lambda _context, _parameter, text: text and text.split(","),
    help=f"Only these besides IMAGE, comma-separated, of {', '.join(PLANES)}; by default all.",
)
@click.option(
    "--connections",
    type=click.IntRange(1),
    default=CONNECTIONS,
    show_default=True,
    help="Requests that are under way to one server, at most.",
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
    """Write a cutout into FOLDER for each row of TABLE, a FITS file each.

    TABLE is a file with the columns dataset_id, and ra and dec (degrees) or x
    and y (pixels of the full frame), as find_images returns it: ECSV, CSV,
    VOTable, FITS or Parquet. A column source gives names to the files. Of a
    remote image only what a cutout needs is read. What is in FOLDER already is
    not read again, so that the same command goes on where it was interrupted.
    Rows without a cutout are reported and do not stop the others; the exit
    status is then 1.

    A server that refuses five images in a row is not asked any more.

    \b
      butler spherex cutouts repo images.ecsv cutouts --size 3arcmin
      butler spherex cutouts repo images.ecsv cutouts --size 64 --planes FLAGS,VARIANCE,WCS-WAVE
      butler spherex cutouts repo images.csv cutouts --size 2arcmin,4arcmin --dry-run
    """
    with open_to_remember(repo) as butler:
        if dry_run:
            plan = plan_cutouts(butler, read_table(table), CutoutRequest.of(size, planes, folder))
            _say(plan.failed, f"would be: {plan.summary}", output, plan.to_dict())
            sys.exit(bool(plan.failed))
        done = Cutouts()
        with options.always_said(
            lambda: _say(done.failed, done.summary, output, done.to_dict()), if_only=lambda: done.done
        ):
            get_cutouts(butler, table, size, folder=folder, planes=planes, connections=connections, report=done)
    sys.exit(bool(done.failed))


def _say(failed: Sequence[FailedCutout], summary: str, path: Path | None, content: Mapping[str, Any]) -> None:
    """Say what became of cutouts, and write it to a report if a path is given."""
    details = [*map(str, failed[:_SHOWN])]
    if len(failed) > _SHOWN:
        details.append(f"… and {len(failed) - _SHOWN} more; {path or '--report FILE'} has all.")
    options.say(details, summary)
    options.write_json(path, content)
