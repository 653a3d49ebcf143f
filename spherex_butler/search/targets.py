"""What users ask about: positions that stay, positions that move, and regions of the sky."""

from __future__ import annotations

__all__ = ("Area", "Cells", "Fixed", "Moving", "Position", "Targets", "as_targets")

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astropy.time import Time
from lsst.sphgeom import Box, Circle, ConvexPolygon, Ellipse, Region
from numpy.typing import NDArray

from ..errors import ParameterError
from .coordinates import coordinates_in, moving_coordinates_in, names_in, parse_position
from .motion import Ephemeris, Function, Motion, stars
from .regions import Vectors, require_finite, vectors_of

if TYPE_CHECKING:
    from mocpy import MOC

_FINEST = 9
"""Order to which the cells of a MOC are rounded up: 7 arcmin, a thirtieth of an image."""

_OF_EPHEMERIDES = {"datetime_jd", "datetime_str"}
"""Columns that only tables of JPL Horizons have."""

Position: TypeAlias = "SkyCoord | Table | str | Region | MOC | Ephemeris | Callable[[Time], SkyCoord]"
"""What may be given as a position."""


@dataclass(frozen=True, slots=True, eq=False)
class Fixed:
    """Positions that stay where they are, shape (n, 3), with a circle of ``radius`` radians around each."""

    directions: Vectors
    radius: float
    names: Sequence[str] | None


@dataclass(frozen=True, slots=True, eq=False)
class Moving:
    """Positions that depend on time, one after the other."""

    motions: Sequence[Motion]
    names: Sequence[str] | None


@dataclass(frozen=True, slots=True, eq=False)
class Area:
    """A region of the sky."""

    region: Region
    names: None = None


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """A part of the sky as HEALPix cells, nested, of one order; from a MOC."""

    order: int
    cells: NDArray[np.int64]
    names: None = None


Targets: TypeAlias = Fixed | Moving | Area | Cells


def as_targets(position: Any, radius: Any = None) -> Targets:
    """Return what is meant by a position, and a radius around it.

    Raises
    ------
    ParameterError
        Raised if that is not understood; it says what would be.
    """
    names: Sequence[str] | None = None
    if isinstance(position, str):
        position, names = parse_position(position), [position]
    elif isinstance(position, Table):
        _require_no_ephemeris(position)
        find = coordinates_in if radius is not None else moving_coordinates_in
        position, names = find(position), names_in(position)
    if isinstance(position, SkyCoord):
        return _of_coordinates(position.reshape(-1), radius, names)
    if radius is not None:
        raise ParameterError(
            f"radius={radius} was given together with {_kind(position)}; only positions that do not move can have a "
            "radius."
        )
    if isinstance(position, Region):
        return _area(position)
    if _is_of_mocpy(position):
        return _cells(position)
    if isinstance(position, Ephemeris):
        return Moving([position], None)
    if callable(position):
        return Moving([Function(position)], None)
    raise ParameterError(
        f"The position is {position!r}; expected a SkyCoord, a table with coordinates, text such as '10.684 41.269' or "
        "a name, a region of lsst.sphgeom, a MOC, an Ephemeris, or a function of time."
    )


def _require_no_ephemeris(table: Table) -> None:
    """Refuse what JPL Horizons gives for a moving object, whose positions are those of one time each."""
    if found := sorted(_OF_EPHEMERIDES & {name.lower() for name in table.colnames}):
        raise ParameterError(
            f"The table has the column {found[0]!r}, as ephemerides have, but is used as a list of positions that do "
            "not move. Give it as Ephemeris.from_table(table), or --ephemeris FILE in a shell; if they are positions "
            "that do not move, leave that column out."
        )


def _of_coordinates(positions: SkyCoord, radius: Any, names: Sequence[str] | None) -> Targets:
    directions = vectors_of(positions)
    moves = "s" in positions.data.differentials
    if moves:  # by motions, distances and epochs, of which each may be masked
        epochs = getattr(positions.obstime, "mask", False)
        directions[np.broadcast_to(positions.mask | epochs, len(positions))] = np.nan
    require_finite(directions)
    if not moves:
        return Fixed(directions, _radians(radius), names)
    if radius is not None:
        raise ParameterError(
            f"radius={radius} was given together with positions that move; only positions that do not move can have a "
            "radius."
        )
    return Moving(stars(positions.unmasked), names)


def _kind(position: Any) -> str:
    """Return in words what was given as a position."""
    if isinstance(position, Ephemeris):
        return "an ephemeris"
    if isinstance(position, Region) or _is_of_mocpy(position):
        return "a region"
    return "a function of time" if callable(position) else f"a {type(position).__name__}"


def _is_of_mocpy(position: Any) -> bool:
    """Return whether it is an object of mocpy, which is an extra, and not loaded for this."""
    return type(position).__module__.partition(".")[0] == "mocpy"


def _area(region: Region) -> Area:
    if not isinstance(region, Box | Circle | ConvexPolygon | Ellipse):
        raise ParameterError(
            f"The position is of the type {type(region).__name__}; expected a Box, Circle, ConvexPolygon or Ellipse of "
            "lsst.sphgeom. Search the parts one by one, or give a MOC."
        )
    if not isinstance(region, ConvexPolygon) and region.isEmpty():
        raise ParameterError(f"The region {region!r} is empty; expected a part of the sky.")
    return Area(region)


def _cells(moc: MOC) -> Cells:
    if type(moc).__name__ != "MOC":
        raise ParameterError(f"The position is of the type {type(moc).__name__}; expected a MOC of the sky, mocpy.MOC.")
    order = min(int(moc.max_order), _FINEST)
    rounded = moc.degrade_to_order(order) if moc.max_order > order else moc
    return Cells(order, np.asarray(rounded.flatten(), np.int64))


def _radians(radius: Any) -> float:
    if radius is None:
        return 0.0
    try:
        found = u.Quantity(radius).to_value(u.rad)
    except (TypeError, ValueError, u.UnitsError) as error:
        raise ParameterError(
            f"radius={radius!r} is not an angle ({error}); expected one such as 5 * u.arcmin."
        ) from None
    if np.ndim(found) or not 0 <= found <= np.pi:
        raise ParameterError(f"radius={radius!r} is out of range; expected one angle from 0 to 180 degrees.")
    return float(found)
