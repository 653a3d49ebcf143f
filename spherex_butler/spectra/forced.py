"""The fluxes of all sources of a catalogue in one image, at the positions that the catalogue gives them."""

from __future__ import annotations

__all__ = ("measure_catalog",)

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.nddata import CCDData
from astropy.table import QTable, Table
from astropy.time import Time
from numpy.typing import NDArray

from ..errors import ParameterError
from ..images.checks import require_spectral_image
from ..images.description import ImageDescription, description_of
from ..images.geometry import longitude_latitude
from ..images.positions import sky_pixels
from ..images.spectral_image import SpectralImage
from ..repository.times import nanoseconds_of
from ..search.coordinates import require_own_names
from ..search.targets import Fixed, Moving, as_targets
from .photometry import SIZE, Method, measure, method_words, require_method, require_size
from .solid_angles import mapped_solid_angle, wcs_solid_angle
from .table import spectrum_table

_MARGIN = 1.2  # of the radius around the image within which sources are looked at, for its distortion

Numbers = NDArray[np.float64]


def measure_catalog(
    image: SpectralImage,
    catalog: Table,
    *,
    size: int = SIZE,
    method: Method | None = None,
    deblend: bool = False,
    solid_angles: CCDData | None = None,
) -> QTable:
    """Return the flux of each source of a catalogue that is in an image.

    Parameters
    ----------
    image
        An image or a cutout with FLAGS, VARIANCE, PSF and wavelengths, in MJy/sr.
    catalog
        The sources, as for `~spherex_butler.search.find_images`: columns with coordinates and names. Of stars that
        move by it, the positions at the time of the image are taken.
    size
        Side in pixels of the part of the image around each source that is looked at; those without a source tell the
        background.
    method
        By default a matched filter.
    deblend
        Whether all sources in such a part are fitted together.
    solid_angles
        What the archive measured of the detector, ``solid_angle_pixel_map``; by default they follow from the WCS.

    Returns
    -------
    fluxes
        A row for each source whose pixel is in the image, in the order of the catalogue: the columns of
        `extract_spectra` as far as an image in memory tells them, and ``ra`` and ``dec``, where the source was, in deg.

    Raises
    ------
    ParameterError
        Raised if the catalogue cannot be read, or an argument makes no sense.
    """
    method = Method() if method is None else method
    require_size(size)
    require_method(method, size)
    require_spectral_image(image)
    about = description_of(image)
    names, positions = _positions(catalog, about)
    require_own_names(names)
    x, y, inside = _pixels(image, positions)
    work = _Work(image, size, method, solid_angles)
    places = np.stack([x, y], axis=1)
    measured = {
        row: work.measured(places[index], np.delete(places, index, axis=0) if deblend else places[:0])
        for row, index in enumerate(inside.tolist())
    }
    images = _image_columns(about, [names[index] for index in inside.tolist()])
    table = spectrum_table(images, measured, work.meta(deblend=deblend))
    where = [u.Quantity(angle[inside], u.deg) for angle in (positions.ra, positions.dec)]  # which files can hold
    table.add_columns(where, names=("ra", "dec"), indexes=(1, 1))
    return table


@dataclass(frozen=True, slots=True)
class _Work:
    """An image, and how fluxes are measured in it."""

    image: SpectralImage
    size: int
    method: Method
    solid_angles: CCDData | None

    def measured(self, place: Numbers, others: Numbers) -> dict[str, Any]:
        """Return what is measured of the source at a pixel (x, y), with some others fitted besides."""
        image = self.image
        full_x, full_y = (place + image.origin).tolist()
        part = image.cutout(bbox=self._box(full_x, full_y))
        moved = np.subtract(image.origin, part.origin)
        x, y = (place + moved).tolist()
        neighbours = [(float(one[0]), float(one[1])) for one in others + moved]
        found = measure(
            part, x, y, solid_angle=self._solid_angle(part, x, y), neighbours=neighbours, method=self.method
        )
        wavelength, bandwidth = image.wavelength_table.interpolated(np.array(full_x), np.array(full_y))
        return asdict(found) | {
            "x": full_x,
            "y": full_y,
            "wavelength": float(wavelength),
            "bandwidth": float(bandwidth),
        }

    def _box(self, x: float, y: float) -> tuple[int, int, int, int]:
        column, row = (int(np.floor(place + 0.5)) - self.size // 2 for place in (x, y))
        return column, column + self.size, row, row + self.size

    def _solid_angle(self, part: SpectralImage, x: float, y: float) -> float:
        if self.solid_angles is None:
            return wcs_solid_angle(part.wcs, x, y)
        return mapped_solid_angle(np.asarray(self.solid_angles.data), 1 * self.solid_angles.unit, part, x, y)

    def meta(self, *, deblend: bool) -> dict[str, str]:
        """Return how the fluxes were measured, in words."""
        flags = sorted(self.image.flag_definitions.items(), key=lambda one: one[1])
        return {
            **method_words(self.method, self.size),
            "solid_angle": "WCS" if self.solid_angles is None else "solid_angle_pixel_map",
            "deblended": "yes" if deblend else "no",
            "flags": " ".join(f"{name}={bit}" for name, bit in flags),
        }


def _positions(catalog: Table, about: ImageDescription) -> tuple[Sequence[Any], SkyCoord]:
    """Return the names of sources, and where they were in the middle of the exposure."""
    targets = as_targets(catalog)
    if isinstance(targets, Moving):
        time = nanoseconds_of(Time([_middle(about)], format="mjd", scale="utc"))
        directions = np.concatenate([motion.at(time) for motion in targets.motions] or [np.empty((0, 3))])
    elif isinstance(targets, Fixed):
        directions = targets.directions
    else:
        raise ParameterError(f"The catalogue is {catalog!r}; expected a table with coordinates.")
    ra, dec = longitude_latitude(np.moveaxis(directions, -1, 0))
    names = range(len(directions)) if targets.names is None else targets.names
    return names, SkyCoord(ra, dec, unit="deg")


def _middle(about: ImageDescription) -> float:
    return (about.begin + about.end) / 2


def _pixels(image: SpectralImage, positions: SkyCoord) -> tuple[Numbers, Numbers, NDArray[np.int64]]:
    """Return each source's own pixel of the image, NaN far from it, and which are in it."""
    rows, columns = image.data.shape
    middle, corner = image.wcs.pixel_to_world([(columns - 1) / 2, -0.5], [(rows - 1) / 2, -0.5])
    near = positions.separation(middle) < _MARGIN * corner.separation(middle) + 1 * u.arcmin
    x, y = np.full(len(positions), np.nan), np.full(len(positions), np.nan)
    if near.any():
        x[near], y[near] = sky_pixels(positions[near], image.data.shape, image.wcs)
    inside = (x >= -0.5) & (x < columns - 0.5) & (y >= -0.5) & (y < rows - 0.5)
    return x, y, np.flatnonzero(inside)


def _image_columns(about: ImageDescription, sources: Sequence[Any]) -> Table:
    """Return what is known of the image, once for each source."""
    number = len(sources)
    time = Time(np.full(number, _middle(about)), format="mjd", scale="utc")
    time.format = "isot"
    return QTable(
        {
            "source": np.array(sources, np.str_ if sources and isinstance(sources[0], str) else None),
            "detector": np.full(number, about.detector, np.int16),
            "exposure": np.full(number, about.observation.exposure_id, np.int64),
            "obs_id": np.full(number, str(about.observation)),
            "time": time,
        }
    )
