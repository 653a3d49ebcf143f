"""Pixels and wavelengths of a search by the headers of the images that it found, which are exact."""

from __future__ import annotations

__all__ = ("refined",)

import logging
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table, vstack
from lsst.daf.butler import Butler
from numpy.typing import NDArray

from ..constants import FULL_FRAME
from ..images.positions import sky_pixels
from ..images.spectral_image import SpectralImage
from ..images.wavelengths import EXTNAME
from .cutout_report import FailedCutout
from .cutouts import get_cutouts
from .frames import edge_distances
from .overlaps import Sighted, Sought
from .regions import Vectors, vectors_of
from .wavelengths import WavelengthRange, channels_of

_BAND = ("wavelength", "bandwidth")
_FEWEST = 16  # headers that are read together
_SLACK = 1e-3  # pixels, for what is rounded

Numbers = NDArray[np.float64]

_log = logging.getLogger(__name__)


def refined(
    butler: Butler,
    table: QTable,
    wanted: WavelengthRange | None = None,
    sought: Sought | None = None,
    limit: int | None = None,
) -> QTable:
    """Return the table of a search with the numbers of headers, without images that do not hold the position.

    The column ``refined`` says whose header could be read; where it is `False`, the numbers are those of before.

    Parameters
    ----------
    butler
        The repository.
    table
        What was found.
    wanted
        Which wavelengths images have to see, if not any.
    sought
        Of a search in a part of the sky, what was looked for in each row: pixels are then looked for again.
    limit
        How many rows are wanted, the first: no more headers are read than that takes, but for a few.
    """
    if limit is None:
        return _refined(butler, table, wanted, sought)
    parts, begin = [_refined(butler, table[:0], wanted, sought)], 0
    while begin < len(table) and (missing := limit - sum(map(len, parts))) > 0:
        rows = np.arange(begin, min(begin + max(missing, _FEWEST), len(table)))
        some = None if sought is None else sought.where(rows)
        parts.append(_refined(butler, table[rows], wanted, some))
        begin = int(rows[-1]) + 1
    return vstack([part for part in parts if len(part)] or parts, metadata_conflicts="silent")[:limit]


def _refined(butler: Butler, table: QTable, wanted: WavelengthRange | None, sought: Sought | None) -> QTable:
    found = table.copy()
    found["refined"] = False
    held = np.ones(len(found), bool)
    positions = SkyCoord(found["ra"], found["dec"])
    there = held if sought is None else sought.hold(vectors_of(positions))
    for row, image in enumerate(get_cutouts(butler, _read(found), 1, planes=EXTNAME)):
        if isinstance(image, FailedCutout):
            _log.warning("Not refined: %s", image)
            held[row] = sought is not None or _meets(wanted, *(found[name][row].to_value(u.um) for name in _BAND))
            continue
        x, y = _pixel(image, positions[row])
        held[row] = edge_distances(x, y) >= -_SLACK and _meets(wanted, *image.wavelength_table.interpolated(x, y))
        if sought is not None and not (held[row] and there[row]):
            x, y = sought.nearest_pixel(row, _HeaderFrame(image), Sighted(image.wavelength_table, wanted))
            held[row] = np.isfinite(x)
            found["ra"][row], found["dec"][row] = _degrees(image, x, y)
        _put(found, row, image, x, y)
    found["channel"] = channels_of(np.asarray(found["detector"]), found["wavelength"].to_value(u.um))
    found["edge_distance"] = edge_distances(found["x"].value, found["y"].value) * u.pix
    return found[held]


def _meets(wanted: WavelengthRange | None, wavelength: Any, bandwidth: Any) -> bool:
    return wanted is None or bool(wanted.meets(wavelength, bandwidth))


def _put(found: QTable, row: int, image: SpectralImage, x: Numbers, y: Numbers) -> None:
    """Write what follows from a full-frame pixel into a row."""
    wavelength, bandwidth = image.wavelength_table.interpolated(x, y)
    numbers = {"x": x, "y": y, "wavelength": wavelength, "bandwidth": bandwidth}
    for name, value in numbers.items():
        found[name][row] = float(value) * found[name].unit
    found["position_angle"][row] = _position_angle(image, x, y)
    found["refined"][row] = True


def _degrees(image: SpectralImage, x: Numbers, y: Numbers) -> tuple[u.Quantity, u.Quantity]:
    """Return right ascension and declination of a full-frame pixel."""
    position = image.wcs.pixel_to_world(x - image.origin[0], y - image.origin[1]).icrs
    return position.ra.to(u.deg), position.dec.to(u.deg)


class _HeaderFrame:
    """The sky that one image sees, by its header."""

    def __init__(self, image: SpectralImage) -> None:
        self._image = image

    def directions_in(self, _: NDArray[np.intp], x: Numbers, y: Numbers) -> Vectors:
        """Return the directions of pixels."""
        first, second = self._image.origin
        return vectors_of(self._image.wcs.pixel_to_world(x - first, y - second))


def _read(found: QTable) -> Table:
    """Return what to read: a pixel of each image, the position's or the nearest that there is."""
    table = Table({"dataset_id": found["dataset_id"]})
    for name in ("x", "y"):
        table[name] = np.clip(found[name].value, 0, FULL_FRAME - 1)
    known = np.isfinite(found["x"])
    for name in ("ra", "dec"):  # of cutouts, where the registry knows no pixel
        table[name] = np.where(known, np.nan, found[name].to_value(u.deg))
    return table


def _pixel(image: SpectralImage, position: SkyCoord) -> tuple[np.ndarray, np.ndarray]:
    """Return the full-frame pixel of a position."""
    x, y = sky_pixels(position, (FULL_FRAME, FULL_FRAME), image.wcs)
    return x + image.origin[0], y + image.origin[1]


def _position_angle(image: SpectralImage, x: np.ndarray, y: np.ndarray) -> u.Quantity:
    """Return the position angle of the image's y at a full-frame pixel."""
    own = x - image.origin[0], y - image.origin[1]
    below, above = (image.wcs.pixel_to_world(own[0], own[1] + step) for step in (-0.5, 0.5))
    return below.position_angle(above).to(u.deg)
