"""The images that a query of the Simple Image Access protocol asks for, as ObsCore rows.

Positions are searched as `~spherex_butler.search.find_images` does it, and not by Butler's queries: the database then
returns regions joined to texts, and what it takes to answer is a row for each image that is found instead of one for
each candidate.
"""

from __future__ import annotations

__all__ = ("sia_rows",)

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Self

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.time import Time
from lsst.daf.butler import Butler, Timespan
from lsst.sphgeom import Box, Circle, LonLat, Region
from numpy.typing import NDArray

from ..errors import FormatError
from ..images.geometry import direction_of, longitude_latitude
from ..names import ObservationId
from ..repository.butler_internals import image_tables
from ..search.candidates import Chosen
from ..search.matching import Matches, find_matches
from ..search.regions import Vectors, contains
from ..search.registered import ImageFilter, image_keys
from ..search.targets import as_targets
from .records import constant_values
from .selection import ImageRows, Row
from .sia_parameters import TEXTS, SIAQuery

_STEPS = 64  # points along each edge, 3 arcmin apart in an image
_EPOCHS = 40_600.0, 88_000.0  # MJD, in 1970 and 2099: Butler's times do not go farther, and there are no images


def sia_rows(butler: Butler, query: SIAQuery, collections: str | Sequence[str] | None = None) -> Iterator[Row]:
    """Yield the rows of images that are as asked for, in order of exposures, however many.

    Parameters
    ----------
    butler
        A SPHEREx repository.
    query
        From `parse_query`.
    collections
        Where to search; by default `SPHEREx/defaults`. Of several processings, the latest counts.

    Raises
    ------
    ConfigurationError
        Raised if it is no SPHEREx repository.
    """
    if _is_hopeless(query):
        return
    images = ImageRows(butler, collections, wanted=ImageFilter((), timespan=_span(query)))
    chosen = _chosen(query, images)
    found = images.of_images(_keys(butler, query.regions, chosen)) if query.regions else images.batches(chosen)
    for rows in found:
        yield from filter(query.meets, rows)


def _is_hopeless(query: SIAQuery) -> bool:
    """Return whether no image can be as asked for, whatever else it is."""
    if (times := _ends(query)) is not None and (times[1] < _EPOCHS[0] or times[0] > _EPOCHS[1]):
        return True
    values = constant_values()
    known = {name: str(values[column]) for name, column in TEXTS.items() if column in values}
    return any(known[name] not in texts for name, texts in query.texts.items() if name in known)


def _ends(query: SIAQuery) -> tuple[float, float] | None:
    """Return the earliest and the latest time that are asked for, MJD."""
    if (intervals := query.intervals.get("TIME")) is None:
        return None
    return min(first for first, _ in intervals), max(last for _, last in intervals)


def _span(query: SIAQuery) -> Timespan | None:
    """Return a time that all exposures overlap with that are asked for, a second more to both sides."""
    ends = _ends(query)
    if ends is None:
        return None
    begin, end = (
        Time(mjd, format="mjd", scale="utc") + sign * u.s if _EPOCHS[0] < mjd < _EPOCHS[1] else None
        for mjd, sign in zip(ends, (-1, 1), strict=True)
    )
    return Timespan(begin, end)


def _chosen(query: SIAQuery, images: ImageRows) -> Chosen:
    bands = query.intervals.get("BAND")
    detectors = None if bands is None else images.detectors_of_bands(bands)
    return Chosen(detectors=detectors, exposures=_exposures(query))


def _exposures(query: SIAQuery) -> NDArray[np.int64] | None:
    """Return the exposures that identifiers name, `None` if any will do or one is not of the archive's form."""
    found = set()
    for text in query.texts.get("ID", ()):
        try:
            observation = ObservationId.parse(text.upper().partition("?")[2].partition("/")[0])
        except FormatError:
            return None
        found.add(observation.exposure_id)
    return np.array(sorted(found), np.int64) if found else None


def _keys(butler: Butler, regions: Sequence[Region], chosen: Chosen) -> NDArray[np.int64]:
    tables = image_tables(butler)
    found = [_inside(find_matches(butler, tables, _target(region), chosen), region) for region in regions]
    keys = [image_keys(matches.images.exposures, matches.images.detectors) for matches in found]
    return reduce(np.union1d, keys)


def _target(region: Region) -> Any:
    if not isinstance(region, Circle):
        return as_targets(region)
    center = LonLat(region.getCenter())
    position = SkyCoord(center.getLon().asDegrees(), center.getLat().asDegrees(), unit=u.deg)
    return as_targets(position, region.getOpeningAngle().asDegrees() * u.deg)


def _inside(matches: Matches, region: Region) -> Matches:
    """Return those that overlap a range of coordinates, which lsst.sphgeom does not decide near its edges."""
    if not isinstance(region, Box) or not len(matches):
        return matches
    bounds = _Bounds.of(region)
    edges = bounds.edges()
    held = [contains(np.broadcast_to(one, (len(edges), *one.shape)), edges).any() for one in matches.images.corners]
    return matches.where(bounds.hold_any(_along_edges(matches.images.corners)) | np.array(held, bool))


def _along_edges(corners: Vectors) -> Vectors:
    """Return points along the edges of images, shape (n, points, 3)."""
    steps = np.linspace(0, 1, _STEPS, endpoint=False)[:, np.newaxis, np.newaxis, np.newaxis]
    along = corners * (1 - steps) + np.roll(corners, -1, axis=1) * steps
    return np.moveaxis(along, 0, 1).reshape(len(corners), -1, 3)


@dataclass(frozen=True, slots=True)
class _Bounds:
    """A range of coordinates, in degrees."""

    west: float
    width: float
    south: float
    north: float

    @classmethod
    def of(cls, box: Box) -> Self:
        lon, lat = box.getLon(), box.getLat()
        west, width = lon.getA().asDegrees(), lon.getSize().asDegrees()
        return cls(west, width, lat.getA().asDegrees(), lat.getB().asDegrees())

    def hold_any(self, directions: Vectors) -> NDArray[np.bool_]:
        """Return of which images, shape (n, points, 3), a point is in the range."""
        lon, lat = longitude_latitude(np.moveaxis(directions, -1, 0))
        inside = ((lon - self.west) % 360 <= self.width) & (lat >= self.south) & (lat <= self.north)
        return np.asarray(inside.any(axis=1))

    def edges(self) -> Vectors:
        """Return points along the edges, and the one in the middle."""
        steps = np.linspace(0, 1, 4 * _STEPS)
        ras, decs = self.west + self.width * steps, self.south + (self.north - self.south) * steps
        middle = ras.mean(keepdims=True), decs.mean(keepdims=True)
        along = [(ras, np.full_like(ras, dec)) for dec in (self.south, self.north)]
        across = [(np.full_like(decs, ra), decs) for ra in (self.west, self.west + self.width)]
        return np.concatenate([direction_of(*part).T for part in (*along, *across, middle)])
