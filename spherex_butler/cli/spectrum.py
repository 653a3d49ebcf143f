"""``butler spherex spectrum``."""

from __future__ import annotations

__all__ = ("spectrum",)

import sys
from pathlib import Path
from typing import Any

import astropy.units as u
import click
import numpy as np
from astropy.table import QTable

from ..repository.opening import open_to_remember
from ..search import Cutouts
from ..search.cutouts import CONNECTIONS
from ..search.writing import document, format_of, write_table
from ..spectra import extract_spectra
from ..spectra.photometry import LARGEST_SIZE, SIZE, SMALLEST_SIZE
from ..summaries import number_of
from . import options
from .targets import exposures, target, targets, wavelength

_ROWS = "measurements"
_SHOWN = {
    "source": "",
    "wavelength": ".4f",
    "flux": ".6g",
    "flux_error": ".2g",
    "chi2": ".2f",
    "masked_fraction": ".2f",
    "detector": "",
    "time": "",
    "release": "",
}
"""The columns that are printed, and how."""


@click.command(short_help="Measure the spectrum of a source.", context_settings={"ignore_unknown_options": True})
@options.repo
@targets
@wavelength
@options.detectors
@exposures
@options.planning_period
@options.survey
@options.timespan
@options.collections
@click.option("--aperture", type=float, metavar="PIXELS", help="Measure in a circle of this radius, with photutils.")
@click.option("--gains", type=click.Choice(["qr3"]), help="Bring QR2 images to the gains and wavelengths of QR3.")
@click.option("--deblend", is_flag=True, help="Fit the given sources together where they are close to each other.")
@click.option(
    "--size",
    type=click.IntRange(SMALLEST_SIZE, LARGEST_SIZE),
    default=SIZE,
    show_default=True,
    help="Side of cutouts, in pixels.",
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep cutouts and PSFs in this folder; the same command then reads none again.",
)
@click.option(
    "--connections",
    type=click.IntRange(1),
    default=CONNECTIONS,
    show_default=True,
    help="Maximum number of simultaneous requests to one server.",
)
@click.option(
    "--plot",
    "picture",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw the spectrum to this file: .png, .svg or .pdf. Needs the extra plot.",
)
@click.option("--binned", is_flag=True, help="With --plot: draw the mean of each spectral channel.")
@options.limit
@options.table_output
@options.as_json
@options.progress
def spectrum(
    repo: str,
    positions: tuple[str, ...],
    *,
    detectors: tuple[int, ...],
    exposures: tuple[int, ...],
    catalogue: str | None,
    ephemeris: str | None,
    picture: Path | None,
    binned: bool,
    limit: int | None,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
    **how: Any,
) -> None:
    """Measure the flux of the source at each POSITION in every image of REPO that saw it.

    Fluxes come from a matched filter: pixels are weighted by the PSF, above a
    background plane fitted around the source. Positions are given as for
    'butler spherex search'. Only small cutouts are read from remote images;
    with --folder, the same command resumes an interrupted run. Measurements
    that fail are reported and do not stop the others; the exit status is then
    1.

    \b
      butler spherex spectrum repo 10.684 41.269
      butler spherex spectrum repo M31 --gains qr3 -o m31.ecsv --folder m31
      butler spherex spectrum repo --catalogue stars.csv --deblend -o stars.parquet
      butler spherex spectrum repo --ephemeris ceres.ecsv --wavelength 1.2,1.4um
    """
    name = None if output is None else format_of(output)
    options.require_picture(picture, overwrite=overwrite)
    wanted = target(positions, catalogue, ephemeris)
    done = Cutouts()
    with open_to_remember(repo) as butler:
        table = extract_spectra(
            butler, wanted, detectors=detectors or None, exposures=exposures or None, report=done, **how
        )
    table = table[: limit or None]
    failed = [*map(str, done.failed)]
    about = {"made": dict(table.meta), "failed": failed}
    if output is not None and name is not None:
        write_table(table, output, name, overwrite=overwrite, rows=_ROWS, besides=about)
        options.say(failed, f"Wrote {number_of(len(table), 'measurement')} to {output}.", _summary(table))
    elif as_json:
        options.say_json(document(table, _ROWS) | about)
    else:
        options.say(failed, *_lines(table, options.ROWS_SHOWN if limit is None else len(table)), _summary(table))
    if picture is not None:
        _draw(table, picture, binned=binned)
    sys.exit(bool(done.failed))


def _draw(table: QTable, path: Path, *, binned: bool) -> None:
    from ..plot.files import write_spectrum_picture  # noqa: PLC0415  (of an extra)

    write_spectrum_picture(table, path, overwrite=True, binned=binned)  # otherwise the option was refused
    click.echo(f"Wrote the picture to {path}.", err=True)


def _lines(table: QTable, most: int) -> list[str]:
    """Return a line for each measurement, in order of source and wavelength."""
    if not len(table):
        return []
    ordered = table[np.lexsort([table["wavelength"].value, np.asarray(table["source"])])]
    shown = ordered[:most][[*_SHOWN]]
    shown["time"] = np.array([str(time)[:19] for time in shown["time"].isot], np.str_)
    for column, form in _SHOWN.items():
        shown[column].info.format = form or None
    lines = shown.pformat(max_lines=-1, max_width=-1, show_unit=True)
    more = [f"… and {len(table) - most} more; --limit 0 prints all."] if len(table) > most else []
    return [*(line.rstrip() for line in lines), *more]


def _summary(table: QTable) -> str:
    """Return how many measurements there are, of which wavelengths, and how good they are."""
    known = np.isfinite(table["flux"].value)
    if not known.any():
        return "Nothing was measured." if len(table) else "No image was found."
    wavelengths = table["wavelength"][known].to_value(u.um)
    significance = np.median((table["flux"] / table["flux_error"])[known].value)
    return (
        f"{number_of(int(known.sum()), 'measurement')}, {wavelengths.min():.3f} to {wavelengths.max():.3f} um, "
        f"median signal to noise {significance:.1f}."
    )
