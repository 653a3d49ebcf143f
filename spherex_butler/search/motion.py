"""Positions that depend on time: stars with proper motion and parallax, ephemerides, and functions of users."""

from __future__ import annotations

__all__ = ("Ephemeris", "Function", "Motion", "Star", "stars")

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations
from typing import Any, Protocol, Self

import astropy.units as u
import numpy as np
from astropy.coordinates import (
    ICRS,
    BaseCoordinateFrame,
    SkyCoord,
    SphericalCosLatDifferential,
    SphericalRepresentation,
    get_body_barycentric,
)
from astropy.table import Table
from astropy.time import Time
from numpy.typing import NDArray

from ..errors import ParameterError
from ..repository.times import nanoseconds_of, times_of
from .coordinates import coordinates_in
from .regions import Vectors, unit_vectors, vectors_of

Nanoseconds = NDArray[np.int64]
"""Times as Butler has them: since 1970, TAI."""

_YEAR = 365.25 * 86_400e9  # ns
_FAR = 1e9  # parsec, in place of a distance that is not known
_POINTS = 4  # of an ephemeris for one position, which makes the interpolation cubic
_PRECISION = (0.1 * u.arcsec).to_value(u.rad)
_TIMES = {"datetime_jd": "jd", "jd": "jd", "mjd": "mjd", "time": None, "epoch": None, "datetime_str": None}
"""Columns with the times of an ephemeris, and their format where it is a number."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH = re.compile(rf"-({'|'.join(_MONTHS)})-", re.IGNORECASE)  # as JPL Horizons writes dates

_log = logging.getLogger(__name__)


class Motion(Protocol):
    """Something that is elsewhere at another time."""

    def at(self, times: Nanoseconds) -> Vectors:
        """Return the directions at some times, shape (n, 3); NaN where none is known."""

    def reach(self, times: Nanoseconds) -> float | None:
        """Return how far in radians it gets from where it is first; `None` if it is not known to stay near."""


@dataclass(frozen=True, slots=True, eq=False)
class Star:
    """A star that moves in a straight line, seen from the Earth.

    SPHEREx circles the Earth at 650 km: from there, the parallax of the nearest star differs by 0.04 mas.

    Parameters
    ----------
    position, velocity
        In units of its distance, and those a year; shape (3,), ICRS.
    epoch
        When it is at ``position``.
    parallax
        In radians; 0 of a star whose distance is not known.
    """

    position: Vectors
    velocity: Vectors
    epoch: int
    parallax: float

    def at(self, times: Nanoseconds) -> Vectors:
        """Return the directions at some times."""
        years = (times - self.epoch) / _YEAR
        found = self.position + years[:, np.newaxis] * self.velocity
        if self.parallax:
            earth = get_body_barycentric("earth", times_of(times)).xyz.to_value(u.au)
            found = found - self.parallax * np.moveaxis(earth, 0, -1)
        return unit_vectors(found)

    def reach(self, times: Nanoseconds) -> float:
        """Return how far it gets from where it is first."""
        years = (times.max(initial=self.epoch) - times.min(initial=self.epoch)) / _YEAR
        return float(np.linalg.norm(self.velocity) * years + 3 * self.parallax)


def stars(positions: SkyCoord) -> list[Motion]:
    """Return stars from positions with proper motions, shape (n,).

    Proper motion or distance of a star that is not known (NaN) is none, and so is a distance that is infinite.

    Raises
    ------
    ParameterError
        Raised if they have no ``obstime``, the epoch of the positions.
    """
    if positions.obstime is None:
        raise ParameterError(
            "The position has a proper motion, but no epoch; expected a SkyCoord with obstime, such as "
            "obstime=Time('J2016')."
        )
    frame, parallaxes = _with_known_motions(positions)
    place = frame.transform_to(ICRS()).cartesian
    length = place.norm()
    direction = (place.xyz / length).to_value(u.one).T
    rate = (place.differentials["s"].d_xyz / length).to_value(1 / u.yr).T
    epochs = np.broadcast_to(nanoseconds_of(positions.obstime), len(positions))
    return [Star(direction[n], rate[n], int(epochs[n]), float(parallaxes[n])) for n in range(len(positions))]


def _with_known_motions(positions: SkyCoord) -> tuple[BaseCoordinateFrame, NDArray[np.float64]]:
    """Return positions of which each moves at a finite speed from a finite distance, and their parallaxes in radians.

    A distance that is not known, or infinite, is as good as a very large one, with which nothing is seen of a speed
    along the line of sight; and what is not known of a proper motion is none.
    """
    there = positions.data if hasattr(positions.data, "lon") else positions.sphericalcoslat
    motion = there.differentials["s"]
    distances = _part(there, "distance", u.pc)
    known = np.isfinite(distances) & (distances > 0)
    east, north = (_part(motion, name, u.rad / u.yr) for name in ("d_lon_coslat", "d_lat"))
    east = east if hasattr(motion, "d_lon_coslat") else _part(motion, "d_lon", u.rad / u.yr) * np.cos(there.lat)
    moves = np.isfinite(east) & np.isfinite(north)
    away = _part(motion, "d_distance", u.pc / u.yr)
    differential = SphericalCosLatDifferential(
        *(np.where(moves, rate, 0) * (u.rad / u.yr) for rate in (east, north)),
        np.where(known & np.isfinite(away), away, 0) * (u.pc / u.yr),
    )
    far = np.where(known, distances, _FAR) * u.pc
    place = SphericalRepresentation(there.lon, there.lat, far, differentials=differential)
    return positions.frame.realize_frame(place), np.where(known, (1 * u.au / far).to_value(u.one), 0)


def _part(representation: Any, name: str, unit: u.UnitBase) -> NDArray[np.float64]:
    """Return a part of a representation, NaN where it has none or it is of another kind, such as a distance of 1."""
    try:
        found = np.ma.filled(getattr(representation, name).to_value(unit), np.nan)
    except (AttributeError, u.UnitConversionError):
        return np.full(representation.shape, np.nan)
    return np.array(found, float)


class Function:
    """A function of a user: a `~astropy.time.Time` array to as many positions."""

    def __init__(self, function: Callable[[Time], SkyCoord]) -> None:
        self._function = function

    def at(self, times: Nanoseconds) -> Vectors:
        """Return the directions at some times."""
        if not len(times):
            return np.zeros((0, 3))
        found = self._function(times_of(times))
        if not isinstance(found, SkyCoord) or found.shape != times.shape:
            what = f"{found.shape} positions" if isinstance(found, SkyCoord) else f"a {type(found).__name__}"
            raise ParameterError(
                f"The function {self._function!r} returned {what} for {times.shape} times; expected a SkyCoord of the "
                "same shape."
            )
        return vectors_of(found)

    def reach(self, _times: Nanoseconds) -> None:
        """Nobody knows how far it gets."""


class Ephemeris:
    """Positions at some times, between which it is interpolated, and beyond which nothing is known.

    Parameters
    ----------
    times
        When, in any order, none twice; at least two.
    positions
        Where, as seen from SPHEREx or, of what is farther away than the Moon, from the Earth.

    Raises
    ------
    ParameterError
        Raised if there are not as many times as positions, or too few, or one that is not known.

    Notes
    -----
    The interpolation is cubic. If it is not good to 0.1 arcsec, judged in each step by how well it meets the positions
    beside, a warning says so.
    """

    def __init__(self, times: Time, positions: SkyCoord) -> None:
        if times.shape != positions.shape or times.size < 2 or times.ndim != 1:
            raise ParameterError(
                f"An ephemeris of {times.shape} times and {positions.shape} positions; expected as many of both, at "
                "least two, in one dimension."
            )
        _require_known(np.asarray(times.mask))
        moments = nanoseconds_of(times)
        order = np.argsort(moments)
        self._times, self._directions = moments[order], vectors_of(positions)[order]
        if (np.diff(self._times) <= 0).any():
            raise ParameterError("The ephemeris has a time twice; expected one position for each.")
        if not np.isfinite(self._directions).all():
            raise ParameterError("The ephemeris has a position that is not finite; leave such rows out.")
        self._warn()

    @property
    def span(self) -> tuple[Time, Time]:
        """The first and the last of its times, UTC."""
        first, last = times_of(self._times[[0, -1]])
        return first, last

    @classmethod
    def from_table(cls, table: Table) -> Self:
        """Return the ephemeris in a table, such as JPL Horizons gives.

        Parameters
        ----------
        table
            With columns for the time (``time``, ``datetime_jd``, ``jd``, ``mjd``, ``epoch`` or ``datetime_str``, UTC
            where it is no `~astropy.time.Time`) and for right ascension and declination (``ra``, ``dec``; degrees where
            there is no unit).

        Raises
        ------
        ParameterError
            Raised if it has no such columns.
        """
        by_name = {name.lower(): name for name in table.colnames}
        found = next((name for name in _TIMES if name in by_name), None)
        if found is None:
            raise ParameterError(
                f"The ephemeris has the columns {', '.join(table.colnames)}; expected one for the time: "
                f"{', '.join(_TIMES)}."
            )
        column = table[by_name[found]]
        times = column if isinstance(column, Time) else _as_times(column, found)
        return cls(times, coordinates_in(table))

    def at(self, times: Nanoseconds) -> Vectors:
        """Return the directions at some times, NaN before the first and after the last."""
        found = _interpolated(self._times, self._directions, times)
        found[(times < self._times[0]) | (times > self._times[-1])] = np.nan
        return found

    def reach(self, _times: Nanoseconds) -> None:
        """It is not known to stay near."""

    def _warn(self) -> None:
        """Warn of steps that are too large to interpolate, and of gaps."""
        errors = _errors(self._times, self._directions)
        worst = int(np.argmax(errors))
        if errors[worst] <= _PRECISION:
            return
        count, error = len(self._times), np.degrees(min(errors[worst], np.pi)) * 3600
        if count <= _POINTS:
            _log.warning(
                "An ephemeris of %d positions does not tell how good those between them are: at worst to %.1f arcsec. "
                "Give more positions, %d or more.",
                count, error, _POINTS + 1,
            )  # fmt: skip
            return
        begin, end = times_of(self._times[worst : worst + 2]).isot
        _log.warning(
            "Between the times of the ephemeris positions are good to %.1f arcsec only, which is so from %s to %s; "
            "smaller steps make them better.",
            error, begin, end,
        )  # fmt: skip


def _require_known(unknown: NDArray[np.bool_]) -> None:
    if unknown.any():
        raise ParameterError(
            f"{np.count_nonzero(unknown)} of {unknown.size} times of the ephemeris are not known; leave such rows out."
        )


def _first_line(error: Exception) -> str:
    """Return what astropy says at first: what each of its formats expects comes after that."""
    return str(error).partition("\n")[0].rstrip(":")


def _number_of_month(match: re.Match[str]) -> str:
    return f"-{_MONTHS.index(match[1].title()) + 1:02d}-"


def _as_times(column: Any, name: str) -> Time:
    _require_known(np.asarray(getattr(column, "mask", False)))
    values = np.asarray(getattr(column, "unmasked", column))
    if values.dtype.kind in "OUS":
        values = np.array([_MONTH.sub(_number_of_month, text) for text in np.char.strip(values.astype(str)).tolist()])
    try:
        return Time(values, format=_TIMES[name], scale="utc")
    except (ValueError, TypeError) as error:
        raise ParameterError(
            f"The column {column.name!r} of the ephemeris does not hold times ({_first_line(error)}); expected text "
            "such as 2025-12-18 05:12 or 2025-Dec-18 05:12, numbers in a column named jd or mjd, or astropy's Time."
        ) from None


def _interpolated(known: Nanoseconds, directions: Vectors, times: Nanoseconds) -> Vectors:
    """Return directions by Lagrange's interpolation between the four points around each time."""
    nodes = _nodes(known, times, min(_POINTS, len(known)))
    return unit_vectors(_by_nodes(known, directions, nodes, times))


def _nodes(known: Nanoseconds, times: Nanoseconds, points: int) -> NDArray[np.intp]:
    """Return the places of the points around each time, shape (n, points)."""
    first = np.clip(np.searchsorted(known, times) - points // 2, 0, len(known) - points)
    return np.asarray(first[:, np.newaxis] + np.arange(points))


def _by_nodes(known: Nanoseconds, directions: Vectors, nodes: NDArray[np.intp], times: Nanoseconds) -> Vectors:
    """Return the values of polynomials through some points, one polynomial for each time; not of length 1."""
    weights = np.ones(nodes.shape)
    for j, k in permutations(range(nodes.shape[1]), 2):
        weights[:, j] *= (times - known[nodes[:, k]]) / (known[nodes[:, j]] - known[nodes[:, k]])
    return np.asarray(np.einsum("nj,njk->nk", weights, directions[nodes]))


def _errors(known: Nanoseconds, directions: Vectors) -> NDArray[np.float64]:
    """Return about how good interpolation is in the middle between points, in radians.

    A polynomial misses a function by the product of the distances to its nodes, times a derivative that changes little:
    by how much it misses the next point on either side tells that. Of so few points that there is no next one, the
    polynomial through one of them less is judged, which is worse.
    """
    middles = known[:-1] + np.diff(known) // 2
    nodes = _nodes(known, middles, min(_POINTS, len(known) - 1))
    found = np.zeros(len(middles))
    for beside in (nodes[:, 0] - 1, nodes[:, -1] + 1):
        some = np.flatnonzero((beside >= 0) & (beside < len(known)))
        places, others = nodes[some], beside[some]
        missed = _by_nodes(known, directions, places, known[others]) - directions[others]
        here, there = (
            np.prod(times[:, np.newaxis] - known[places], axis=1, dtype=float)
            for times in (middles[some], known[others])
        )
        found[some] = np.maximum(found[some], np.linalg.norm(missed, axis=1) * np.abs(here / there))
    return found
