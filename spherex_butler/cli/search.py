"""``butler spherex search``."""

from __future__ import annotations

__all__ = ("search",)

import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import astropy.units as u
import click
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from lsst.daf.butler import Butler

from ..constants import DETECTORS
from ..repository.instrument import channel_table
from ..repository.opening import open_butler
from ..search import Cutouts, Ephemeris, channel_counts, find_images, get_cutouts
from ..search.coordinates import parse_position
from ..search.reading import read_table
from ..search.writing import FORMATS, format_of, records, write_images, written
from . import options
from .cutouts import cutout_size

_BARS = " ▁▂▃▄▅▆▇█"
_SHOWN = {
    "source": "",
    "obs_id": "",
    "detector": "",
    "channel": "",
    "wavelength": ".4f",
    "bandwidth": ".4f",
    "x": ".1f",
    "y": ".1f",
    "time": "",
    "release": "",
}
"""The columns that a person reads, and how; narrow terminals show fewer."""


_WAVELENGTH = "a wavelength; expected one such as 2.2um, 150THz or 0.5eV, or two such as 1.2,1.4um"


def _radius(_context: click.Context, _parameter: click.Parameter, text: str | None) -> u.Quantity | None:
    if text is None:
        return None
    try:
        return u.Quantity(text).to(u.deg)
    except (TypeError, ValueError, u.UnitsError):
        raise click.BadParameter(f"{text!r} is not an angle; expected one such as 5arcmin.") from None


def _wavelength(_context: click.Context, _parameter: click.Parameter, text: str | None) -> u.Quantity | None:
    """Return one wavelength or two in µm; what the first lacks of a unit it takes from the second."""
    if text is None:
        return None
    try:
        found = [u.Quantity(part) for part in re.split(r",|(?<![eE])-", text)]
        if found[0].unit == u.one:
            found[0] = found[0].value * found[-1].unit
        lengths = [one.to_value(u.um, equivalencies=u.spectral()) for one in found]
    except (TypeError, ValueError, u.UnitsError):
        raise click.BadParameter(f"{text!r} is not {_WAVELENGTH}.") from None
    if len(lengths) > 2:
        raise click.BadParameter(f"{text!r} is not {_WAVELENGTH}.")
    return lengths * u.um if len(lengths) > 1 else lengths[0] * u.um


def _output(_context: click.Context, _parameter: click.Parameter, path: Path | None) -> Path | None:
    if path is not None and not path.parent.is_dir():
        raise click.BadParameter(f"{str(path.parent)!r} is not a folder; expected one for the table.")
    return path


@click.command(
    short_help="Search for the images that saw a position.", context_settings={"ignore_unknown_options": True}
)
@options.repo
@click.argument("positions", nargs=-1, metavar="[POSITION]...")
@click.option("--catalogue", metavar="FILE", help="Search for each row of this table.")
@click.option("--ephemeris", metavar="FILE", help="Search along this table of times and positions.")
@click.option("--radius", callback=_radius, metavar="ANGLE", help="Images that a circle overlaps, such as 5arcmin.")
@click.option(
    "--wavelength",
    callback=_wavelength,
    metavar="WAVELENGTH[,WAVELENGTH]",
    help="Only where the position is seen at this: 2.2um, 1.2,1.4um, 150,160THz, 0.5eV.",
)
@options.detectors
@click.option(
    "--exposure",
    "exposures",
    multiple=True,
    metavar="EXPOSURE",
    callback=lambda _context, _parameter, texts: tuple(map(options.exposure_id, texts)),
    help="Only this exposure, by its id or observation id; repeatable.",
)
@click.option("--period", "planning_period", metavar="NAME", help="Only this planning period, such as 2025W51_1A.")
@click.option("--survey", metavar="NAME", help="Only exposures planned for this survey, such as all_sky.")
@click.option("--begin", metavar="TIME", help="Only exposures that end after this time; UTC such as 2025-12-18.")
@click.option("--end", metavar="TIME", help="Only exposures that begin before this time; UTC.")
@options.collections
@click.option("--all-processings", is_flag=True, help="Every processing of an image, and not the newest alone.")
@click.option("--refine", is_flag=True, help="Read the headers of what is found, for exact pixels and wavelengths.")
@click.option("--limit", type=click.IntRange(0), default=100, show_default=True, help="Rows to print; 0 for all.")
@click.option("--coverage", is_flag=True, help="Draw how often each spectral channel was seen, instead of the images.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["table", *FORMATS]),
    help="How to print or write; by default a table, and with -o as the file's name says.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_output,
    metavar="FILE",
    help="Write all rows to this file: .ecsv, .csv, .fits, .vot, .parquet or .json.",
)
@click.option("--overwrite", is_flag=True, help="With --output: replace a file that exists.")
@click.option(
    "--cutouts",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write a cutout of each image into this folder as well; needs --size.",
)
@click.option(
    "--size", callback=cutout_size, metavar="SIZE", help="Full side of cutouts: 3arcmin, or pixels such as 64."
)
@options.as_json
@options.progress
def search(
    repo: str,
    positions: tuple[str, ...],
    *,
    begin: str | None,
    end: str | None,
    detectors: tuple[int, ...],
    exposures: tuple[int, ...],
    catalogue: str | None,
    ephemeris: str | None,
    all_processings: bool,
    limit: int,
    coverage: bool,
    format_: str | None,
    output: Path | None,
    overwrite: bool,
    folder: Path | None,
    size: u.Quantity | None,
    as_json: bool,
    **filters: Any,
) -> None:
    """Search REPO for the images that saw a POSITION, at which pixel and which wavelength.

    A POSITION is "10.684 41.269" in degrees, "00h42m44.3s +41d16m09s", or the
    name of an object, which astropy asks the network for; two bare numbers are
    one position. No file is read but the repository's registry.

    \b
      butler spherex search repo 10.684 41.269
      butler spherex search repo M31 --radius 30arcmin --wavelength 1.2,1.4um
      butler spherex search repo "10.684 41.269" "9.9 40.8" -o images.ecsv
      butler spherex search repo --catalogue stars.csv --detector D3 -o images.parquet
      butler spherex search repo --ephemeris ceres.ecsv --begin 2026-01-01
      butler spherex search repo 10.684 41.269 --coverage
      butler spherex search repo 10.684 41.269 --cutouts m31 --size 3arcmin

    'butler spherex cutouts' takes the file that -o writes.
    """
    name = _format(format_, output, overwrite, as_json)
    if (folder is None) != (size is None):
        raise click.UsageError("--cutouts DIR and --size SIZE go together; give both or none.")
    target = _target(positions, catalogue, ephemeris)
    with open_butler(repo) as butler:
        table = find_images(
            butler,
            target,
            time=None if begin is None and end is None else (begin, end),
            detectors=detectors or None,
            exposures=exposures or None,
            latest=not all_processings,
            **filters,
        )
        if output is not None:
            write_images(table, output, format=name, overwrite=overwrite)
            options.say((), f"Wrote {len(table)} rows to {output}.")
        elif coverage:
            _say_coverage(table, as_json=name == "json")
        elif name == "json":
            options.say_json({"images": records(table)})
        elif name is not None:
            sys.stdout.write(written(table, name).decode())
        else:
            _say_table(table, limit)
        if folder is not None and size is not None:
            _write_cutouts(butler, table, size, folder)


def _write_cutouts(butler: Butler, table: QTable, size: u.Quantity, folder: Path) -> None:
    """Write cutouts, and tell of them on the standard error, as the output is of the images."""
    done = Cutouts()
    try:
        get_cutouts(butler, table, size, folder=folder, report=done)
    finally:
        options.say([*map(str, done.failed), f"{done.summary}, in {folder}"])
    if done.failed:
        sys.exit(1)


def _format(format_: str | None, output: Path | None, overwrite: bool, as_json: bool) -> str | None:
    """Return the format to write, `None` for the table that a person reads."""
    if output is not None:
        if as_json or format_ == "table":
            raise click.UsageError("--output writes a file; leave --json and --format table out, or print instead.")
        if output.exists() and not overwrite:
            raise click.UsageError(f"{str(output)!r} exists; give --overwrite to replace it, or another file.")
        return format_ or format_of(output)
    if format_ in {"fits", "parquet"}:
        raise click.UsageError(f"--format {format_} is not text; give --output FILE as well.")
    return "json" if as_json else None if format_ == "table" else format_


def _target(positions: Sequence[str], catalogue: str | None, ephemeris: str | None) -> Any:
    """Return what to search for."""
    if unknown := next((word for word in positions if word.startswith("--")), None):
        raise click.NoSuchOption(unknown)
    given = [one for one in (positions, catalogue, ephemeris) if one]
    if len(given) != 1:
        raise click.UsageError(
            f"{'Nothing' if not given else 'More than one kind of position'} was given to search for; expected "
            "POSITIONs, or --catalogue FILE, or --ephemeris FILE."
        )
    if catalogue:
        return read_table(catalogue)
    if ephemeris:
        return Ephemeris.from_table(read_table(ephemeris))
    texts = _texts(positions)
    if len(texts) == 1:
        return texts[0]
    return QTable({"source": texts, "position": SkyCoord([parse_position(text).icrs for text in texts])})


def _texts(words: Sequence[str]) -> list[str]:
    """Return a text for each position: bare numbers go in pairs."""
    if len(words) % 2 == 0 and all(map(_is_number, words)):
        return [" ".join(pair) for pair in zip(words[::2], words[1::2], strict=True)]
    return list(words)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _say_table(table: QTable, limit: int) -> None:
    if not len(table):
        options.say([], "No image was found.")
        return
    shown = table[: limit or None]
    columns = {name: _cells(shown, name) for name in _SHOWN}
    room = shutil.get_terminal_size((120, 24)).columns
    lines = ["" for _ in range(len(shown) + 1)]
    for name, cells in columns.items():
        width = max(map(len, [name, *cells])) + 2
        if len(lines[0]) + width > room and lines[0]:
            break
        lines = [line + cell.ljust(width) for line, cell in zip(lines, [name, *cells], strict=True)]
    more = [f"… and {len(table) - len(shown)} more; --limit 0 prints all."] if len(shown) < len(table) else []
    options.say(more, *(line.rstrip() for line in lines), _summary(table))


def _cells(table: QTable, name: str) -> list[str]:
    column = table[name]
    if name == "time":
        return [str(time)[:19] for time in column.isot]
    values = getattr(column, "value", column)
    return [format(value, _SHOWN[name]) if _SHOWN[name] else str(value) for value in values]


def _summary(table: QTable) -> str:
    detectors = ", ".join(f"D{number}" for number in sorted(set(table["detector"].tolist())))
    wavelengths = table["wavelength"].to_value(u.um)
    known = wavelengths[np.isfinite(wavelengths)]
    span = f", {known.min():.3f} to {known.max():.3f} um" if len(known) else ""
    return f"{len(table)} images of {detectors}{span}."


def _say_coverage(table: QTable, *, as_json: bool) -> None:
    counts = channel_counts(table)
    if as_json:
        found = [
            {"detector": detector, "channel": channel, "images": number}
            for (detector, channel), number in counts.items()
        ]
        options.say_json({"channels": found})
        return
    options.say(
        [], *_drawn(counts), f"{len(table)} images, {sum(map(bool, counts.values()))} of {len(counts)} channels."
    )


def _drawn(counts: dict[tuple[int, int], int]) -> Iterator[str]:
    """Yield lines that draw how often each channel was seen: a bar, and the number."""
    channels = channel_table()
    most = max(1, *counts.values())
    for detector in DETECTORS:
        of_detector = channels[channels["detector"] == detector]
        numbers = [counts[detector, number] for number in of_detector["id"]]
        first, last = of_detector["wavelength"][0], of_detector["wavelength"][-1]
        bars = "".join(f"{_BARS[-(-(len(_BARS) - 1) * number // most)] * 3} " for number in numbers)
        yield f"D{detector}, channels 1 to {len(numbers)}: {first:.3f} to {last:.3f} um"
        if any(numbers):
            yield f"    {bars}".rstrip()
        yield f"    {''.join(f'{number:<4}' for number in numbers)}".rstrip()
