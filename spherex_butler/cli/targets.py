"""What commands search for: positions, a catalogue or an ephemeris, and which images of these count."""

from __future__ import annotations

__all__ = ("exposures", "target", "targets", "wavelength")

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import astropy.units as u
import click
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table

from ..search import Ephemeris
from ..search.coordinates import parse_position
from ..search.reading import read_table
from . import options

_Command = TypeVar("_Command", bound=Callable[..., Any])

_WAVELENGTH = "a wavelength; expected one such as 2.2um, 150THz or 0.5eV, or two such as 1.2,1.4um"


def _wavelength_range(_context: click.Context, _parameter: click.Parameter, text: str | None) -> u.Quantity | None:
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


def targets(command: _Command) -> _Command:
    """Add the positions, the catalogue and the ephemeris; `target` takes them together."""
    for add in reversed(
        (
            click.argument("positions", nargs=-1, metavar="[POSITION]..."),
            click.option("--catalogue", metavar="FILE", help="Search at the position in each row of this table."),
            click.option(
                "--ephemeris", metavar="FILE", help="Search along the path in this table of times and positions."
            ),
        )
    ):
        command = add(command)
    return command


wavelength = click.option(
    "--wavelength",
    callback=_wavelength_range,
    metavar="WAVELENGTH[,WAVELENGTH]",
    help="Only images that see the position at this wavelength or in this range: 2.2um, 1.2,1.4um, 150,160THz, 0.5eV.",
)
exposures = click.option(
    "--exposure",
    "exposures",
    multiple=True,
    metavar="EXPOSURE",
    callback=lambda _context, _parameter, texts: tuple(map(options.exposure_id, texts)),
    help="Only this exposure, by its id or observation id; repeatable.",
)


def target(positions: Sequence[str], catalogue: str | None, ephemeris: str | None) -> Table | Ephemeris:
    """Return what to search for.

    Raises
    ------
    click.UsageError
        Raised unless one kind of position was given.
    """
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
