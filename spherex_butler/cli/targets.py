"""What commands search for: positions, a catalogue or an ephemeris, and which images of these count."""

from __future__ import annotations

__all__ = ("exposures", "target", "targets", "wavelength")

import difflib
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

_LENGTH = re.compile(r"[\d.]+\s*(?:nm|um|µm|micron|mm|angstrom|GHz|THz|eV)", re.IGNORECASE)
_ASCENSION = re.compile(r"\d+(?::\d+:[\d.]+|h\d+m[\d.]+s|\.?\d*(?:d|deg|°)),?")
_DECLINATION = re.compile(r"[+-]?\d+(?::\d+:[\d.]+|d\d+m[\d.]+s|\.?\d*(?:d|deg|°))")

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
        known = [name for parameter in click.get_current_context().command.params for name in parameter.opts]
        raise click.NoSuchOption(unknown, possibilities=difflib.get_close_matches(unknown, known))
    if length := next((word for word in positions if _LENGTH.fullmatch(word)), None):
        raise click.UsageError(
            f"{length!r} is a wavelength, not a position; write a range of wavelengths as one word: "
            "--wavelength 1.2um,1.4um."
        )
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
    """Return a text for each position: bare numbers go in pairs, or in sixes if they are sexagesimal."""
    if _is_sexagesimal(words):
        return [" ".join(words)]
    if len(words) % 2 == 0 and (all(map(_is_number, words)) or _are_angles(words)):
        return [" ".join(pair) for pair in zip(words[::2], words[1::2], strict=True)]
    if all(map(_is_number, words)):
        raise click.UsageError(
            f"{' '.join(words)!r} is not understood; expected two numbers for each position, in degrees, or a "
            "sexagesimal position in quotes: '00 42 44.3 +41 16 09'."
        )
    return list(words)


def _is_sexagesimal(words: Sequence[str]) -> bool:
    """Return whether six numbers are hours, minutes, seconds and, with a sign, degrees, minutes and seconds."""
    if len(words) != 6 or words[3][0] not in "+-":
        return False
    whole = [word.lstrip("+-") for word in (*words[:2], *words[3:5])]
    return all(map(str.isdecimal, whole)) and all(map(_is_number, words)) and max(map(int, whole[1::2])) < 60


def _are_angles(words: Sequence[str]) -> bool:
    """Return whether words are in turn a right ascension and a declination, neither of them with a blank in it."""
    return all(map(_ASCENSION.fullmatch, words[::2])) and all(map(_DECLINATION.fullmatch, words[1::2]))


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
