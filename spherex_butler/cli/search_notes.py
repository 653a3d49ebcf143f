"""What ``butler spherex search`` says besides its table: what no image saw, what is rough, and why nothing is found."""

from __future__ import annotations

__all__ = ("approximate", "no_images", "unseen", "unseen_line")

from collections.abc import Iterator, Mapping
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from astropy.time import Time
from lsst.daf.butler import Butler

from ..repository.butler_internals import image_tables
from ..repository.distortions import distortion_of
from ..repository.instrument import channel_table
from ..repository.times import format_time
from ..search import Ephemeris, find_images
from ..search.coordinates import coordinates_in, names_in
from ..search.inventory import exposure_counts
from ..summaries import number_of

_CONDITIONS = {
    "wavelength": "--wavelength",
    "time": "--begin and --end",
    "survey": "--survey",
    "planning_period": "--period",
    "detectors": "--detector",
    "exposures": "--exposure",
}
"""What an image may be left out for, and the options for it."""

_FEW = 20
"""Positions for which a search that found nothing is made again in other ways."""

_NAMED = 5
_NEARBY = (2, 8, 32)
"""Degrees within which the nearest image is looked for."""


def unseen(wanted: Table | Ephemeris, found: QTable) -> list[Any]:
    """Return the positions that no image saw, by their names or numbers; an ephemeris is none."""
    if isinstance(wanted, Ephemeris):
        return []
    names: list[Any] = names_in(wanted) or list(range(len(wanted)))
    seen = set(found["source"].tolist())
    return [name for name in dict.fromkeys(names) if name not in seen]


def unseen_line(wanted: Table | Ephemeris, names: list[Any]) -> Iterator[str]:
    """Yield a line about positions that no image saw, if there are some."""
    if names:
        left = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        were = "was" if len(names) == 1 else "were"
        yield (
            f"{len(names)} of {number_of(len(wanted), 'position')} {were} seen by no image: "  # type: ignore[arg-type]
            f"{', '.join(map(str, names[:_NAMED]))}{left}"
        )


def approximate(butler: Butler, found: QTable) -> Iterator[str]:
    """Yield lines about pixels that are not known, or not well."""
    if "refined" in found.colnames:
        return
    unknown = np.isnan(found["x"])
    if number := len(set(found["dataset_id"][unknown].tolist())):
        which = "1 of these images is a cutout" if number == 1 else f"{number:,} of these images are cutouts"
        yield f"{which}, whose pixels the registry does not tell; add --refine to read the headers."
    detectors = sorted(set(found["detector"][~unknown].tolist()))
    rough = [f"D{number}" for number in detectors if distortion_of(butler, number) is None]
    if rough:
        yield (
            f"Pixels are good to 8 pixels until a header of {' and '.join(rough)} has been read; --refine gives exact "
            "ones."
        )


def no_images(butler: Butler, wanted: Table | Ephemeris, conditions: Mapping[str, Any]) -> Iterator[str]:
    """Yield lines that say why no image was found, as far as that can be told."""
    if (wavelength := conditions.get("wavelength")) is not None:
        yield from _beyond(wavelength)
    if isinstance(wanted, Table) and len(wanted) > _FEW:
        return
    given = {name: conditions[name] for name in _CONDITIONS if conditions.get(name) is not None}
    where = {name: value for name, value in conditions.items() if name not in given} | {"refine": False}
    every = len(find_images(butler, wanted, **where))
    if not every:
        yield from _elsewhere(butler, wanted, where)
        return
    without = {name: _number(butler, wanted, where, given, name) for name in given} if len(given) > 1 else {}
    helpful = {_CONDITIONS[name]: number for name, number in without.items() if number}
    for options, number in (helpful or {" and ".join(_CONDITIONS[name] for name in given): every}).items():
        yield f"Without {options} there would be {number_of(number, 'image')}."


def _number(butler: Butler, wanted: Any, where: Mapping[str, Any], given: Mapping[str, Any], left_out: str) -> int:
    """Return how many images there are without one of the conditions."""
    others = {name: value for name, value in given.items() if name != left_out}
    return len(find_images(butler, wanted, **where, **others))


def _beyond(wavelength: u.Quantity) -> Iterator[str]:
    """Yield a line if no detector sees a wavelength."""
    channels = channel_table()
    shortest, longest = float(channels["wavelength_min"].min()), float(channels["wavelength_max"].max())
    wanted = np.atleast_1d(wavelength.to_value(u.um))
    if wanted.max() < shortest or wanted.min() > longest:
        yield f"SPHEREx sees wavelengths from {shortest:.2f} to {longest:.2f} um."


def _elsewhere(butler: Butler, wanted: Table | Ephemeris, where: Mapping[str, Any]) -> Iterator[str]:
    """Yield lines about what there is at other positions or times."""
    if isinstance(wanted, Ephemeris):
        yield from _at_other_times(butler, wanted)
        return
    others = {name: value for name, value in where.items() if name != "radius"}
    for position in coordinates_in(wanted).reshape(-1)[:_NAMED]:
        yield _nearest(butler, position, others)
        ra, dec = position.icrs.dec.deg, position.icrs.ra.deg
        if abs(dec) <= 90 and (number := len(find_images(butler, SkyCoord(ra, dec, unit="deg"), **others))):
            yield f"At RA {ra:.6g}, Dec {dec:.6g}, the same numbers exchanged, there are {number_of(number, 'image')}."


def _nearest(butler: Butler, position: SkyCoord, where: Mapping[str, Any]) -> str:
    """Return how far the image is that is nearest a position."""
    for radius in _NEARBY:
        found = find_images(butler, position, radius=radius * u.deg, **where)
        if len(found):
            away = position.separation(SkyCoord(found["ra"], found["dec"])).min()
            return f"The nearest image is {away.deg:.2g} deg away."
    return f"There is no image within {_NEARBY[-1]} deg."


def _at_other_times(butler: Butler, ephemeris: Ephemeris) -> Iterator[str]:
    counts = exposure_counts(butler, image_tables(butler))
    times = [time for one in counts for time in (one.begin, one.end) if time is not None]
    first, last = ephemeris.span
    if times and (last < min(times) or first > max(times)):
        begin, end = min(times), max(times)
        yield f"The ephemeris is {_from_to(first, last)}, and the exposures are {_from_to(begin, end)}."


def _from_to(begin: Time, end: Time) -> str:
    return f"from {format_time(begin)[:19]} to {format_time(end)[:19]}"
