"""``simulate``: write Level 2 files in the archive's format, with a sky made from nothing."""

from __future__ import annotations

__all__ = ("simulate",)

from pathlib import Path
from typing import Any

import click
from astropy.coordinates import SkyCoord

from ..constants import DETECTORS, FULL_FRAME
from ..errors import FormatError
from ..files.folders import require_permission
from ..names import detector_number
from ..summaries import number_of
from ..testing.level2 import PlannedFile, existing_files, plan_exposures, write_level2
from . import options


def _detectors(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[int, ...]:
    """Return the numbers in ``1,4``, ``1-3,6`` or ``D1,D4``."""
    numbers: set[int] = set()
    for part in value.split(","):
        span = _span(part.strip())
        if not span or not set(span) <= set(DETECTORS):
            raise click.BadParameter(f"{value!r} is not a list of detectors; expected one such as '1-6' or 'D1,D4'.")
        numbers.update(span)
    return tuple(sorted(numbers))


def _span(text: str) -> range:
    """Return the numbers from one detector to another; none if it is not such a text."""
    first, separator, last = text.partition("-")
    try:
        return range(detector_number(first), detector_number(last if separator else first) + 1)
    except FormatError:
        return range(0)


def _position(_context: click.Context, _parameter: click.Parameter, value: str | None) -> SkyCoord | None:
    """Return a position in degrees, or sexagesimal with units."""
    if value is None:
        return None
    try:
        return SkyCoord(value, unit="deg")
    except ValueError as error:
        raise click.BadParameter(
            f"{value!r} is not a position ({error}); expected degrees such as '10.68 41.27', or '00h42m44s +41d16m09s'."
        ) from error


@click.command(short_help="Write simulated Level 2 files in the archive's format.")
@click.argument("output", type=click.Path(file_okay=False, path_type=Path))
@click.option("--exposures", type=click.IntRange(min=1), default=2, show_default=True, help="Number of exposures.")
@click.option(
    "--detectors",
    metavar="NUMBERS",
    callback=_detectors,
    default="1-6",
    show_default=True,
    help="Detectors to write for each exposure.",
)
@click.option(
    "--release",
    type=click.Choice(["qr2", "qr3"]),
    default="qr2",
    show_default=True,
    help="Release whose file format is written.",
)
@click.option(
    "--size",
    type=click.IntRange(1, FULL_FRAME),
    default=FULL_FRAME,
    show_default=True,
    help=f"Side in pixels. Below {FULL_FRAME} a file holds the middle of the full frame, as an archive cutout does, "
    "and a PSF of fewer zones.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of sky and noise.")
@click.option("--token", help="Processing token, such as l2b-v21-2025-354; by default five days after the period.")
@click.option("--start", "obs_id", help="Observation id of the first exposure, such as 2025W51_1A_0684_2.")
@click.option(
    "--center",
    metavar='"RA DEC"',
    callback=_position,
    help="Boresight of the first exposure: the middle of detectors 2 and 5. "
    "Detectors 1 and 4, 3 and 6 see fields 3.9 degrees to its sides.",
)
@click.option("--tree", is_flag=True, help="Use the archive's folders: release/level2/period/token/detector.")
@options.dry_run
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
def simulate(output: Path, dry_run: bool, overwrite: bool, **choices: Any) -> None:
    """Write simulated SPHEREx Level 2 files to the folder OUTPUT.

    The files have the names, HDUs, headers and sizes of the archive's: 71.6 MB
    each in QR2, 65 MB in QR3. Each exposure moves the telescope by one spectral
    channel, so that a source is seen at one wavelength after another. The sky
    holds zodiacal light and point sources of known spectra. The same options
    always give the same bytes.

    \b
    Examples:
      Two exposures of all six detectors at full size, 860 MB:
        butler spherex simulate demo
      Small files for a test, in a second; they are cutouts:
        butler spherex simulate demo --size 128
      Detectors 2 and 5 on M 31, in the archive's folders, QR3:
        butler spherex simulate demo --center "10.68 41.27" --detectors 2,5 --tree --release qr3

    --dry-run shows what would be written. Ingest the result with 'butler
    spherex ingest'.
    """
    plan = plan_exposures(output, **choices)
    if dry_run:
        require_permission(output)
        _print_plan(plan)
        return
    _require_absent(plan, overwrite=overwrite)
    with click.progressbar(plan, label="Simulating", show_pos=True) as files:
        for file in files:
            write_level2(file.path, overwrite=overwrite, **file.options)
    size = sum(file.path.stat().st_size for file in plan) / 1e6
    click.echo(f"Wrote {number_of(len(plan), 'file')}, {size:,.1f} MB, to {output}.")


def _print_plan(plan: list[PlannedFile]) -> None:
    for file in plan:
        click.echo(f"{file.path}{' (exists)' if file.path.exists() else ''}")
    click.echo(f"{number_of(len(plan), 'file')}; none was written.")


def _require_absent(plan: list[PlannedFile], *, overwrite: bool) -> None:
    taken = [] if overwrite else existing_files(plan)
    if taken:
        raise click.ClickException(
            f"{len(taken)} of the {number_of(len(plan), 'file')} exist, the first {str(taken[0])!r}; give --overwrite "
            "to replace them, or another folder. Nothing was written."
        )
