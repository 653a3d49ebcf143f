"""Which images saw a position, at which pixel and which wavelength."""

from __future__ import annotations

__all__ = ("find_images",)

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable
from lsst.daf.butler import Butler
from numpy.typing import NDArray

from ..arguments import detectors_given, exposures_given, require_number, require_text
from ..calibrations.ranges import UserTime, range_given
from ..errors import FormatError, ParameterError
from ..images.geometry import longitude_latitude
from ..names import ObservationId
from ..repository.butler_internals import ImageTables, image_tables
from ..repository.distortions import distortion_of
from ..repository.failures import told_as_repository_failures
from ..repository.opened import require_universe
from ..repository.times import known_times_of
from .candidates import Chosen
from .emptiness import require_known
from .frames import FrameMap, are_full_frames, edge_distances
from .matching import Matches, find_matches
from .overlaps import Sighted, Sought
from .ragged import spread
from .refinement import refined
from .regions import Vectors
from .registered import ImageFilter, RegisteredImages, image_keys, registered_images, searched_collections
from .shapes import Part, part_of
from .targets import Position, as_targets
from .wavelengths import WavelengthMaps, WavelengthRange, channels_of

Numbers = NDArray[np.float64]

_log = logging.getLogger(__name__)


@told_as_repository_failures()
def find_images(
    butler: Butler,
    position: Position,
    *,
    radius: u.Quantity | None = None,
    wavelength: u.Quantity | tuple[u.Quantity, u.Quantity] | None = None,
    time: tuple[UserTime | None, UserTime | None] | None = None,
    detectors: int | str | Iterable[int | str] | None = None,
    exposures: int | str | Iterable[int | str] | None = None,
    survey: str | None = None,
    planning_period: str | None = None,
    collections: str | Iterable[str] | None = None,
    latest: bool = True,
    refine: bool = False,
    limit: int | None = None,
) -> QTable:
    """Return which images saw a position, and at which pixel and wavelength; no file is opened unless you ask for it.

    Parameters
    ----------
    butler
        A SPHEREx repository.
    position
        One of

        - a `~astropy.coordinates.SkyCoord`, one or many; one with proper motion, which needs an ``obstime``, is taken
          to the time of each image, with its parallax if it has a distance;
        - a table with a column of SkyCoord, or with columns ``ra`` and ``dec``, degrees or sexagesimal text; with
          ``pmra``, ``pmdec`` and ``ref_epoch``, as Gaia's have, its stars move, unless a radius is given;
        - text: ``"10.684 41.269"`` in degrees, sexagesimal, or a name, which astropy resolves by the network;
        - a region of `lsst.sphgeom`, or a MOC of mocpy, whose cells are rounded up to order 9, 7 arcmin;
        - an `Ephemeris`, or a function from an array of times to as many positions.
    radius
        Find images that a circle around each position overlaps.
    wavelength
        A wavelength, or the shortest and the longest, in any spectral unit: an image counts if the wavelength at its
        pixel, half a bandwidth to both sides, meets that; in a circle or region, if that is so at any pixel there.
    time
        Only exposures that overlap with this time, from begin to end; `None` is open.
    detectors
        Only these, 1 to 6 or ``"D1"`` to ``"D6"``.
    exposures
        Only these, each by its id or its observation id: ``"2025W51_1A_0684_2"``.
    survey
        Only exposures that were planned for this survey, as headers name it: ``"all_sky"``.
    planning_period
        Only exposures of this planning period: ``"2025W51_1A"``.
    collections
        Where to search, in this order; by default `SPHEREx/defaults`. A pattern such as ``"spx/*"`` means what it
        matches: processings newest first, then others, and members of chains that it matches in the chain's order.
    latest
        Whether of several processings of an image only the newest counts: the first in the order of the collections.
    refine
        Read the headers of the images that are found, by byte ranges where they are remote, and give the exact pixels
        and wavelengths that follow from these; also for cutouts. Images that just miss the position are left out.
    limit
        Return at most this many rows, the first.

    Returns
    -------
    images
        A row for each position and image, by position and time:

        ``source``
            Name of the position, or its number from 0.
        ``obs_id``, ``exposure``, ``detector``
            Which image.
        ``x``, ``y``
            0-based full-frame pixel of the position; of a circle or region, of the point of the image that is nearest
            its centre, or with ``wavelength`` of the nearest one in the circle or region that sees this.
        ``wavelength``, ``bandwidth``
            At that pixel, µm.
        ``channel``
            The spectral channel that this wavelength lies in, 1 to 17; 0 outside all.
        ``time``, ``exposure_time``
            The middle of the exposure, UTC, and how long it was.
        ``ra``, ``dec``
            Where that pixel is, ICRS.
        ``position_angle``
            Of the image's y there, from North through East.
        ``edge_distance``
            Pixels to the nearest edge of the image, negative beyond.
        ``release``, ``run``, ``dataset_id``, ``uri``
            Which dataset, and where its file is.
        ``refined``
            With ``refine``: whether the image's header could be read. A warning in the log says why it could not.

        Cutouts of the archive, whose pixels the registry does not tell, have NaN in the columns that follow from
        pixels, and ``channel`` 0. No ``wavelength`` finds them without ``refine``; a warning in the log says how many
        it left out.

    Raises
    ------
    ParameterError
        Raised if an argument makes no sense, or nothing is found and the survey, the planning period or the collections
        have no image at all.
    ConfigurationError
        Raised if it is no SPHEREx repository.

    Notes
    -----
    A position counts as seen if the region on record of the image holds it: the polygon of its corners, which the
    archive's ``s_region`` has as well. Distortion bends the edges of the real image by up to 8 pixels.

    Pixels follow from that polygon and the distortion of the detector, which the repository remembers from the first
    header of the detector that is read: by `~spherex_butler.ingest_files`, `get_cutouts`, or with ``refine``. Then they
    are those of the image's header to half a pixel. Elsewhere it is left out, and they are good to 8 pixels, which is
    1/15 of a spectral channel; detector 3's is part of this package.

    The wavelength is that of the ``spectral_wcs`` that is certified for the image, or else of the control points that
    its release's files hold.
    """
    require_universe(butler)
    if limit is not None:
        require_number("limit", limit, least=0)
    require_text("survey", survey, "all_sky")
    targets = as_targets(position, radius)
    chosen = _chosen(detectors, exposures, planning_period)
    range_ = None if wavelength is None else WavelengthRange.of(wavelength)
    timespan = range_given(time)
    with butler.registry.caching_context():  # of collections, which are asked for again and again
        searched = searched_collections(butler, collections)
        wanted = ImageFilter(searched.numbers, searched.all_runs, latest, timespan, planning_period, survey)
        tables = image_tables(butler)
        near = range_ if range_ is None or not refine else range_.widened()
        search = _Search(butler, tables, WavelengthMaps(butler, searched.names), near, part_of(targets), wanted)
        found, sought = search.table(find_matches(butler, tables, targets, chosen), targets.names)
    if not len(found):
        require_known(butler, tables, searched.names, survey, planning_period)
    if refine:
        found = refined(butler, found, range_, sought, limit)
    return found[:limit]


def _chosen(
    detectors: int | str | Iterable[int | str] | None,
    exposures: int | str | Iterable[int | str] | None,
    planning_period: str | None,
) -> Chosen:
    first, last = (None, None) if planning_period is None else _bounds(planning_period)
    numbers = detectors_given(detectors)
    if numbers is not None and not numbers:
        raise ParameterError(f"detectors={detectors!r} chooses no detector; expected some of 1 to 6, or None for all.")
    return Chosen(numbers, exposures_given(exposures), first, last)


def _bounds(planning_period: str) -> tuple[int, int]:
    """Return between which ids the exposures of a planning period are."""
    try:
        some = ObservationId.parse(f"{planning_period}_0001_1").exposure_id
    except FormatError:
        raise ParameterError(
            f"planning_period={planning_period!r} is not a planning period; expected one such as '2025W51_1A'."
        ) from None
    begin = some - some % 100_000
    return begin, begin + 99_999


@dataclass(frozen=True, slots=True, eq=False)
class _Pixels:
    """Where the positions of matches are in their images."""

    x: Numbers
    y: Numbers
    angles: Numbers

    def where(self, chosen: Any) -> _Pixels:
        return _Pixels(self.x[chosen], self.y[chosen], self.angles[chosen])

    def put(self, places: NDArray[np.intp], x: Numbers, y: Numbers, angles: Numbers) -> None:
        self.x[places], self.y[places], self.angles[places] = x, y, angles


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """Rows of the answer; ``image`` says which of the registered images each is of."""

    sources: NDArray[np.intp]
    directions: Vectors
    pixels: _Pixels
    wavelength: Numbers
    bandwidth: Numbers
    image: NDArray[np.intp]

    def where(self, chosen: NDArray[np.bool_]) -> _Found:
        return _Found(
            self.sources[chosen],
            self.directions[chosen],
            self.pixels.where(chosen),
            self.wavelength[chosen],
            self.bandwidth[chosen],
            self.image[chosen],
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """One search on its way from matches to a table."""

    butler: Butler
    tables: ImageTables
    maps: WavelengthMaps
    range_: WavelengthRange | None
    part: Part | None
    wanted: ImageFilter

    def table(self, matches: Matches, names: Sequence[str] | None) -> tuple[QTable, Sought | None]:
        pixels = self._pixels(matches)
        if self.range_ is not None:
            possible = self._possible(matches, pixels, self.range_)
            matches, pixels = matches.where(possible), pixels.where(possible)
        keys = image_keys(matches.images.exposures, matches.images.detectors)
        images = registered_images(self.butler, self.tables, keys, self.wanted)
        match, image = _joined(keys, images.keys)
        wavelength, bandwidth = self._wavelengths(images, image, pixels.where(match))
        if self.range_ is not None and not self.range_.tolerance:
            _warn_of_cutouts(np.unique(image[np.isnan(pixels.x[match])]).size)
        order = np.lexsort([images.keys[image], images.times[image], matches.sources[match]])
        if self.range_ is not None and self.part is None:
            order = order[self.range_.meets(wavelength, bandwidth)[order]]
        match, image = match[order], image[order]
        found = _Found(
            matches.sources[match],
            matches.directions[match],
            pixels.where(match),
            wavelength[order],
            bandwidth[order],
            image,
        )
        sought = None
        if self.part is not None:
            sought = Sought(self.part, self.part.centers[found.sources], matches.images.corners[match])
            if self.range_ is not None:
                seen = self._seen(found, sought, images, self.range_)
                found, sought = found.where(seen), sought.where(seen)
        del matches, pixels, match, order, wavelength, bandwidth  # as large as the answer
        return _table(found, names, images), sought

    def _pixels(self, matches: Matches) -> _Pixels:
        """Return where the positions of matches are in their images, NaN where the region is not that of a detector."""
        found = _Pixels(*(np.full(len(matches), np.nan) for _ in range(3)))
        whole = are_full_frames(matches.images.corners)
        for detector in np.unique(matches.images.detectors).tolist():
            some = np.flatnonzero(whole & (matches.images.detectors == detector))
            frames = FrameMap(matches.images.corners[some], distortion_of(self.butler, detector))
            x, y = frames.pixels(matches.directions[some])
            found.put(some, x, y, frames.position_angles(x, y))
        return found

    def _possible(self, matches: Matches, pixels: _Pixels, wanted: WavelengthRange) -> NDArray[np.bool_]:
        """Return which images may meet the range with any of the maps there are: fewer are then looked up."""
        found = np.isnan(pixels.x)
        for detector in np.unique(matches.images.detectors).tolist():
            of_detector = np.flatnonzero(matches.images.detectors == detector)
            for table in self.maps.possible(detector):
                if self.part is not None:
                    found[of_detector] |= Sighted(table, wanted).anywhere
                    continue
                at = table.interpolated(pixels.x[of_detector], pixels.y[of_detector])
                found[of_detector] |= wanted.meets(*at)
        return found

    def _wavelengths(
        self, images: RegisteredImages, image: NDArray[np.intp], pixels: _Pixels
    ) -> tuple[Numbers, Numbers]:
        wavelength, bandwidth = np.full(len(image), np.nan), np.full(len(image), np.nan)
        detectors = images.keys[image] % 10
        for detector in np.unique(detectors).tolist():
            of_detector = np.flatnonzero(detectors == detector)
            some = image[of_detector]
            wavelength[of_detector], bandwidth[of_detector] = self.maps.at(
                detector, images.releases[some], images.times[some], pixels.x[of_detector], pixels.y[of_detector]
            )
        return wavelength, bandwidth

    def _seen(
        self, found: _Found, sought: Sought, images: RegisteredImages, wanted: WavelengthRange
    ) -> NDArray[np.bool_]:
        """Return which images see the range in the part of the sky, and move rows to the nearest pixel that does."""
        unknown = np.isnan(found.pixels.x)
        seen = wanted.meets(found.wavelength, found.bandwidth) & (unknown | sought.hold(found.directions))
        detectors = images.keys[found.image] % 10
        for detector in np.unique(detectors).tolist():
            rows = np.flatnonzero(~(seen | unknown) & (detectors == detector))
            image = found.image[rows]
            for table, served in self.maps.serving(detector, images.releases[image], images.times[image]):
                some = rows[served]
                frames = FrameMap(sought.corners[some], distortion_of(self.butler, detector))
                x, y = sought.nearest_pixels(some, frames, Sighted(table, wanted))
                found.directions[some] = frames.directions(x, y)
                found.pixels.put(some, x, y, frames.position_angles(x, y))
                found.wavelength[some], found.bandwidth[some] = table.interpolated(x, y)
                seen[some] = np.isfinite(x)
        return seen


def _warn_of_cutouts(number: int) -> None:
    if number:
        _log.warning(
            "%d cutouts at this position are left out, as the registry does not tell their wavelengths; refine=True, "
            "or --refine in a shell, reads them from their headers.",
            number,
        )


def _joined(keys: NDArray[np.int64], known: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return pairs of places in both at which the keys are the same; ``known`` is in order, and may have one twice."""
    begin, end = np.searchsorted(known, keys, "left"), np.searchsorted(known, keys, "right")
    first, within = spread(end - begin)
    return first, begin[first] + within


def _table(found: _Found, names: Sequence[str] | None, images: RegisteredImages) -> QTable:
    image, pixels = found.image, found.pixels
    ra, dec = longitude_latitude(found.directions.T)
    detectors = images.keys[image] % 10
    columns = {
        "source": found.sources if names is None else np.array(names, np.str_)[found.sources],
        "obs_id": images.obs_ids[image],
        "exposure": images.keys[image] // 10,
        "detector": detectors,
        "x": pixels.x * u.pix,
        "y": pixels.y * u.pix,
        "wavelength": found.wavelength * u.um,
        "bandwidth": found.bandwidth * u.um,
        "channel": channels_of(detectors, found.wavelength),
        "time": known_times_of(images.times[image]),
        "exposure_time": images.exposure_times[image] * u.s,
        "ra": ra * u.deg,
        "dec": dec * u.deg,
        "position_angle": pixels.angles * u.deg,
        "edge_distance": edge_distances(pixels.x, pixels.y) * u.pix,
        "release": images.releases[image],
        "run": images.runs[image],
        "dataset_id": images.dataset_ids_of(image),
        "uri": images.uris_of(image),
    }
    return QTable(columns, copy=False)
