"""``butler spherex search``."""

from __future__ import annotations

__all__ = ("search",)

import shutil
import sys
from pathlib import Path
from typing import Any

import astropy.units as u
import click
from astropy.table import QTable
from lsst.daf.butler import Butler

from ..repository.opening import open_butler, open_to_remember
from ..search import Cutouts, find_images, get_cutouts
from ..search.cutout_report import by_reason
from ..search.writing import FORMATS, format_of, write_table, written
from ..summaries import number_of
from . import options
from .cutouts import cutout_size
from .search_notes import approximate, no_images, unseen, unseen_line
from .search_tables import counts, coverage_lines, summary, table_lines
from .targets import exposures, target, targets, wavelength


def _radius(_context: click.Context, _parameter: click.Parameter, text: str | None) -> u.Quantity | None:
    if text is None:
        return None
    try:
        return u.Quantity(text).to(u.deg)
    except (TypeError, ValueError, u.UnitsError):
        raise click.BadParameter(f"{text!r} is not an angle; expected one such as 5arcmin.") from None


@click.command(
    short_help="Search for the images that saw a position.", context_settings={"ignore_unknown_options": True}
)
@options.repo
@targets
@click.option(
    "--radius", callback=_radius, metavar="ANGLE", help="Find all images that overlap a circle of this radius."
)
@wavelength
@options.detectors
@exposures
@options.planning_period
@options.survey
@options.timespan
@options.collections
@click.option("--all-processings", is_flag=True, help="All processings of each image, not only the newest.")
@click.option("--refine", is_flag=True, help="Read the headers of the images found, for exact pixels and wavelengths.")
@options.limit
@click.option("--coverage", is_flag=True, help="Count the images in each spectral channel instead of listing them.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["table", *FORMATS]),
    help="Output format; by default a table, or with -o the format that the file's name implies.",
)
@options.table_output
@click.option(
    "--cutouts",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Also write a cutout of each image to this folder; needs --size.",
)
@click.option(
    "--size", callback=cutout_size, metavar="SIZE", help="Side length of cutouts: 3arcmin, or pixels such as 64."
)
@options.as_json
@options.progress
def search(
    repo: str,
    positions: tuple[str, ...],
    *,
    detectors: tuple[int, ...],
    exposures: tuple[int, ...],
    catalogue: str | None,
    ephemeris: str | None,
    all_processings: bool,
    limit: int | None,
    coverage: bool,
    format_: str | None,
    output: Path | None,
    overwrite: bool,
    folder: Path | None,
    size: u.Quantity | None,
    as_json: bool,
    **filters: Any,
) -> None:
    """Search REPO for the images that saw a POSITION, and say at which pixel and wavelength.

    A POSITION is "10.684 41.269" in degrees, "00h42m44.3s +41d16m09s", or the
    name of an object, which is looked up over the network. Two bare numbers
    are one position. Only the repository's registry is read; images are opened
    only for --refine and --cutouts.

    Wavelength and bandwidth are in um, time is UTC, and x and y are pixels of
    the full frame, counted from 0.

    \b
      butler spherex search repo 10.684 41.269
      butler spherex search repo M31 --radius 30arcmin --wavelength 1.2,1.4um
      butler spherex search repo "10.684 41.269" "9.9 40.8" -o images.ecsv
      butler spherex search repo --catalogue stars.csv --detector D3 -o images.parquet
      butler spherex search repo --ephemeris ceres.ecsv --begin 2026-01-01
      butler spherex search repo 10.684 41.269 --coverage
      butler spherex search repo 10.684 41.269 --cutouts m31 --size 3arcmin

    'butler spherex cutouts' reads any file that -o writes, except JSON.
    """
    name = _format(format_, output, as_json=as_json)
    if (folder is None) != (size is None):
        raise click.UsageError("--cutouts DIR and --size SIZE go together; give both or none.")
    if coverage and limit:
        raise click.UsageError("--coverage counts all images, and --limit leaves some out; give one of them.")
    wanted = target(positions, catalogue, ephemeris)
    if filters["refine"] and limit:
        filters["limit"] = limit  # so that no other headers are read
    filters |= {"detectors": detectors or None, "exposures": exposures or None, "latest": not all_processings}
    with (open_to_remember if folder is not None or filters["refine"] else open_butler)(repo) as butler:
        found = find_images(butler, wanted, **filters)
        missed = unseen(wanted, found)
        notes = [*unseen_line(wanted, missed), *approximate(butler, found)]
        if not len(found):
            notes = list(no_images(butler, wanted, filters))
        table = found[: limit or None]
        content, rows = (counts(table), "channels") if coverage else (table, "images")
        besides = {} if coverage else {"unseen": missed}
        if output is not None and name is not None:
            write_table(content, output, name, overwrite=overwrite, rows=rows, besides=besides)
            options.say(
                [*_more(found, table, "writes"), *notes], f"Wrote {number_of(len(content), 'row')} to {output}."
            )
        elif name is not None:
            options.say([*_more(found, table), *notes])
            click.echo(written(content, name, rows=rows, besides=besides), nl=False)
        elif coverage:
            options.say(notes, *coverage_lines(table))
        else:
            _show(found, table if limit is not None else table[: options.ROWS_SHOWN])
            options.say(notes)
        if folder is not None and size is not None:
            _write_cutouts(butler, table, size, folder)


def _show(found: QTable, shown: QTable) -> None:
    """Print the table that a person reads, and what it leaves out after that."""
    room = shutil.get_terminal_size((120, 24)).columns
    options.say((), *table_lines(shown, room, with_source=len(set(found["source"].tolist())) > 1))
    options.say(_more(found, shown), summary(found))


def _more(found: QTable, given: QTable, how: str = "prints") -> list[str]:
    """Return a line that says how many rows are left out, if there are any."""
    left_out = len(found) - len(given)
    return [f"… and {left_out:,} more; --limit 0 {how} all."] if left_out else []


def _write_cutouts(butler: Butler, table: QTable, size: u.Quantity, folder: Path) -> None:
    """Write cutouts, and tell of them on the standard error, as the output is of the images."""
    done = Cutouts()
    try:
        get_cutouts(butler, table, size, folder=folder, report=done)
    finally:
        options.say([*by_reason(done.failed), f"{done.summary}, in {folder}"])
    if done.failed:
        sys.exit(1)


def _format(format_: str | None, output: Path | None, *, as_json: bool) -> str | None:
    """Return the format to write, `None` for the table that a person reads."""
    if as_json and format_ not in {None, "json"}:
        raise click.UsageError(f"--json prints JSON, and --format {format_} does not; give one of them.")
    if output is not None:
        if format_ == "table":
            raise click.UsageError("--format table is printed, and --output writes a file instead; give one of them.")
        return format_ or format_of(output)
    if format_ in {"fits", "parquet"}:
        raise click.UsageError(f"--format {format_} is not text; give --output FILE as well.")
    return "json" if as_json else None if format_ == "table" else format_
