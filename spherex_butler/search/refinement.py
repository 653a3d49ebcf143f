"""Pixels and wavelengths of a search by the headers of the images that it found, which are exact."""

from __future__ import annotations

__all__ = ("refined",)

import logging

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from lsst.daf.butler import Butler

from ..constants import FULL_FRAME
from ..images.positions import sky_pixels
from ..images.spectral_image import SpectralImage
from ..images.wavelengths import EXTNAME
from .cutout_report import FailedCutout
from .cutouts import get_cutouts
from .frames import edge_distances
from .wavelengths import channels_of

_SLACK = 1e-3  # pixels, for what is rounded

_log = logging.getLogger(__name__)


def refined(butler: Butler, table: QTable) -> QTable:
    """Return the table of a search with the numbers of headers, without images that do not hold the position.

    The column ``refined`` says whose header could be read; where it is `False`, the numbers are those of before.
    """
    found = table.copy()
    found["refined"] = False
    held = np.ones(len(found), bool)
    positions = SkyCoord(found["ra"], found["dec"])
    for row, image in enumerate(get_cutouts(butler, _read(found), 1, planes=EXTNAME)):
        if isinstance(image, FailedCutout):
            _log.warning("Not refined: %s", image)
            continue
        x, y = _pixel(image, positions[row])
        wavelength, bandwidth = image.wavelength_table.interpolated(x, y)
        numbers = {"x": x, "y": y, "wavelength": wavelength, "bandwidth": bandwidth}
        for name, value in numbers.items():
            found[name][row] = float(value) * found[name].unit
        found["position_angle"][row] = _position_angle(image, x, y)
        found["refined"][row] = True
        held[row] = edge_distances(x, y) >= -_SLACK
    found["channel"] = channels_of(np.asarray(found["detector"]), found["wavelength"].to_value(u.um))
    found["edge_distance"] = edge_distances(found["x"].value, found["y"].value) * u.pix
    return found[held]


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
