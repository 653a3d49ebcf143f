"""Where a simulated telescope points, and where each detector lies around its boresight.

Detector 3 lies where the saved real header puts it, relative to the planned
boresight in that header's ``SPS_ELON``, ``SPS_ELAT`` and ``SPS_EPA``: 3.9 deg
along the focal plane's x.  Detectors 1 to 3 stand side by side, 2 at the
boresight; 4 to 6 see the same fields through the dichroic.
"""

from __future__ import annotations

__all__ = ("Pointing", "celestial_cards", "ecliptic")

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from numpy.typing import NDArray

from ..images.geometry import direction_of, longitude_latitude, tangents_of
from .observations import Observation
from .templates import image_template

_OBLIQUITY = np.radians(84381.406 / 3600)  # IAU 2006, mean of J2000
_CHANNEL_STEP = np.radians(0.1963)  # of a small slew, along +y: archive rows of 2025W52_1A_0344
_YEARLY_MOTION = 360 / 365.25  # deg of ecliptic longitude a day: the survey stays 90 deg from the Sun
_COLUMNS = {1: 2, 4: 2, 2: 1, 5: 1, 3: 0, 6: 0}  # detector: fields between it and detector 3


@dataclass(frozen=True, slots=True, eq=False)
class Pointing:
    """The attitude of the telescope.

    Parameters
    ----------
    matrix
        Rotation from focal-plane to ICRS directions: its columns are the
        directions of the focal plane's x, of its y and of the boresight.
    """

    matrix: NDArray[np.float64]

    @classmethod
    def of_observation(cls, observation: Observation) -> Pointing:
        """Return the pointing of an observation nobody placed elsewhere.

        A planning period scans a great circle, each pointing one spectral
        channel further along y, from the saved real header's boresight.
        """
        template = image_template()
        reference = Observation.parse(template["OBSID"])
        days = (observation.period_date - reference.period_date).days
        plan = cls._of_angles(
            template["SPS_ELON"] + days * _YEARLY_MOTION,
            template["SPS_ELAT"],
            template["SPS_EPA"],
            _ecliptic_matrix(),
        )
        return plan.scanned(observation.pointing_number - reference.pointing_number)

    @classmethod
    def of_boresight(cls, center: SkyCoord, position_angle: u.Quantity | None = None) -> Pointing:
        """Return the pointing with its boresight at ``center``.

        Parameters
        ----------
        center
            Position of the boresight.
        position_angle
            Of the focal plane's y, from North through East; by default y
            points to the ecliptic South, as in the survey.
        """
        icrs = center.icrs
        if position_angle is not None:
            angle = u.Quantity(position_angle).to_value(u.deg)
            return cls._of_angles(icrs.ra.deg, icrs.dec.deg, angle, np.eye(3))
        longitude, latitude = ecliptic(icrs.ra.deg, icrs.dec.deg)
        return cls._of_angles(longitude, latitude, image_template()["SPS_EPA"], _ecliptic_matrix())

    @classmethod
    def _of_angles(cls, longitude: float, latitude: float, angle: float, frame: NDArray[np.float64]) -> Pointing:
        east, north = tangents_of(longitude, latitude)
        sine, cosine = np.sin(np.radians(angle)), np.cos(np.radians(angle))
        columns = (sine * north - cosine * east, sine * east + cosine * north, direction_of(longitude, latitude))
        return cls(frame @ np.stack(columns, axis=1))

    @property
    def boresight(self) -> SkyCoord:
        """Position of the boresight, ICRS."""
        longitude, latitude, _ = _angles(self.matrix)
        return SkyCoord(longitude, latitude, unit="deg")

    @property
    def position_angle(self) -> u.Quantity:
        """Position angle of the focal plane's y, from North through East."""
        return _angles(self.matrix)[2] * u.deg

    @property
    def ecliptic(self) -> tuple[float, float, float]:
        """Ecliptic longitude and latitude of the boresight and position angle of y there, in deg."""
        return _angles(_ecliptic_matrix().T @ self.matrix)

    def scanned(self, steps: int) -> Pointing:
        """Return the pointing that many spectral channels further along y."""
        cosine, sine = np.cos(steps * _CHANNEL_STEP), np.sin(steps * _CHANNEL_STEP)
        return Pointing(self.matrix @ np.array([[1, 0, 0], [0, cosine, sine], [0, -sine, cosine]]))


def ecliptic(ra: Any, dec: Any) -> tuple[Any, Any]:
    """Return ecliptic longitude and latitude (J2000) of ICRS positions, all in deg."""
    return longitude_latitude(np.tensordot(_ecliptic_matrix().T, direction_of(ra, dec), axes=1))


def celestial_cards(pointing: Pointing, detector: int) -> dict[str, float]:
    """Return ``CRVAL``, ``LATPOLE`` and the ``PC`` matrix of one detector, to 12 digits."""
    center, axes = _detector_vectors(_COLUMNS[detector])
    longitude, latitude = longitude_latitude(pointing.matrix @ center)
    components = tangents_of(longitude, latitude) @ pointing.matrix @ axes
    cards = {"CRVAL1": longitude, "CRVAL2": latitude, "LATPOLE": latitude}
    cards |= {f"PC{i + 1}_{j + 1}": components[i, j] for i in range(2) for j in range(2)}
    return {name: float(f"{value:.12g}") for name, value in cards.items()}


@lru_cache
def _detector_vectors(columns: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a detector's reference position and pixel axes (3, 2) in the focal plane."""
    template = image_template()
    reference = Pointing.of_observation(Observation.parse(template["OBSID"])).matrix.T
    center = reference @ direction_of(template["CRVAL1"], template["CRVAL2"])
    axes = reference @ tangents_of(template["CRVAL1"], template["CRVAL2"]).T @ _pc(template)
    angle = -columns * np.arctan2(center[0], center[2])
    cosine, sine = np.cos(angle), np.sin(angle)
    rotation = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    return rotation @ center, rotation @ axes


def _pc(header: fits.Header) -> NDArray[np.float64]:
    return np.array([[header[f"PC{i}_{j}"] for j in (1, 2)] for i in (1, 2)])


def _ecliptic_matrix() -> NDArray[np.float64]:
    cosine, sine = np.cos(_OBLIQUITY), np.sin(_OBLIQUITY)
    return np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])


def _angles(matrix: NDArray[np.float64]) -> tuple[float, float, float]:
    longitude, latitude = longitude_latitude(matrix[:, 2])
    east, north = tangents_of(longitude, latitude)
    angle = np.degrees(np.arctan2(matrix[:, 1] @ east, matrix[:, 1] @ north)) % 360
    return float(longitude), float(latitude), float(angle)
