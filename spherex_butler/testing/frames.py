"""What a simulated Level 2 image is of: the choices of a caller, checked and completed."""

from __future__ import annotations

__all__ = ("RELEASES", "Frame", "Level2Options", "make_frame")

from dataclasses import dataclass
from functools import lru_cache
from typing import TypedDict, Unpack

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS, Sip
from numpy.typing import NDArray

from ..constants import DATASET_TYPE, DETECTORS, FULL_FRAME
from ..errors import ParameterError
from ..formats.fits.boxes import Box
from ..images.wavelengths import WavelengthTable
from .observations import Observation, processing_date, token_of
from .pointing import Pointing, celestial_cards
from .templates import image_template


@dataclass(frozen=True, slots=True)
class _Release:
    obs_id: str
    token_version: int
    version: str


RELEASES = {
    "qr2": _Release("2025W51_1A_0684_2", 21, "6.6.0"),
    "qr3": _Release("2026W33_1A_0684_2", 27, "7.1.0"),
}


class Level2Options(TypedDict, total=False):
    """The choices a simulated Level 2 image leaves; each has a default.

    Parameters
    ----------
    obs_id
        Observation id, which fixes time, integer id and file name; by default
        that of the real header the files are made from (QR2) or one in QR3.
    detector
        1 to 6; default 1.
    release
        ``"qr2"`` (default) or ``"qr3"``: the form of the file.
    size
        Side in pixels.  Below the full 2040 the file is what the archive's
        cutout service gives: a piece of the full frame, every pixel of IMAGE,
        FLAGS, VARIANCE and ZODI as there, the WCS shifted.
    origin
        Full-frame pixel (x, y) of the first pixel; default, the middle.
    token
        Processing token; by default of a processing five days after the
        planning period's start.
    version
        Pipeline ``VERSION``.  QR2 files up to 6.5.5 without ``psffix1`` have
        x and y exchanged in the PSF's zone cards, and so do these.
    seed
        Seed of the sky and, with the observation and detector, of the noise.
    center
        Position of the telescope's boresight, which lies in the middle of
        detectors 2 and 5; 1 and 4, 3 and 6 see fields 3.9 deg to its sides.
        By default the observation's place in a scan through the real one.
    position_angle
        Of the focal plane's y, from North through East, an angle; default,
        towards the ecliptic South.
    full_psf
        Whether to write all zones of the PSF (5 MB); default, for full frames
        only.  Otherwise 3 x 3 zones, of 41 x 41 samples in QR2.
    """

    obs_id: str | None
    detector: int
    release: str
    size: int
    origin: tuple[int, int] | None
    token: str | None
    version: str | None
    seed: int
    center: SkyCoord | None
    position_angle: u.Quantity | None
    full_psf: bool | None


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One image to be simulated: checked options, and what follows from them."""

    observation: Observation
    detector: int
    release: str
    token: str
    version: str
    seed: int
    pointing: Pointing
    box: Box
    wavelengths: WavelengthTable
    full_psf: bool

    @property
    def file_name(self) -> str:
        """The archive's name for the file."""
        return f"{DATASET_TYPE}_{self.observation}D{self.detector}_spx_{self.token}.fits"

    @property
    def folder(self) -> str:
        """The archive's folder for the file."""
        return f"{self.release}/{DATASET_TYPE}/{self.observation.planning_period}/{self.token}/{self.detector}"

    def wcs(self) -> WCS:
        """Return the celestial WCS of the full frame."""
        header = image_template()
        cards = celestial_cards(self.pointing, self.detector)
        wcs = WCS(naxis=2)
        wcs.wcs.ctype = [header["CTYPE1"], header["CTYPE2"]]
        wcs.wcs.crpix = [header["CRPIX1"], header["CRPIX2"]]
        wcs.wcs.crval = [cards["CRVAL1"], cards["CRVAL2"]]
        wcs.wcs.pc = [[cards["PC1_1"], cards["PC1_2"]], [cards["PC2_1"], cards["PC2_2"]]]
        wcs.wcs.cdelt = [header["CDELT1"], header["CDELT2"]]
        wcs.wcs.cunit = ["deg", "deg"]
        wcs.sip = Sip(*(_sip_matrix(name) for name in ("A", "B", "AP", "BP")), wcs.wcs.crpix)
        wcs.wcs.set()
        return wcs


def make_frame(**options: Unpack[Level2Options]) -> Frame:
    """Return the frame that options ask for.

    Raises
    ------
    FormatError
        Raised if ``obs_id`` or ``token`` has not the archive's form.
    ParameterError
        Raised if another option has no meaning.
    """
    release = options.get("release", "qr2")
    detector, seed = options.get("detector", 1), options.get("seed", 0)
    _require("release", release, release in RELEASES, "'qr2' or 'qr3'")
    _require("detector", detector, _is_whole(detector, DETECTORS[0], DETECTORS[-1]), "a number from 1 to 6")
    _require("seed", seed, _is_whole(seed, 0, 2**63), "a whole number from 0")
    form = RELEASES[release]
    observation = Observation.parse(options.get("obs_id") or form.obs_id)
    token = options.get("token") or token_of(observation, form.token_version)
    processing_date(token)  # refuses anything else
    box = _box(options.get("size", FULL_FRAME), options.get("origin"))
    full_psf = options.get("full_psf")
    return Frame(
        observation=observation,
        detector=detector,
        release=release,
        token=token,
        version=options.get("version") or form.version,
        seed=seed,
        pointing=_pointing(observation, options.get("center"), options.get("position_angle")),
        box=box,
        wavelengths=WavelengthTable.of_detector(detector, release),
        full_psf=box.shape == (FULL_FRAME, FULL_FRAME) if full_psf is None else full_psf,
    )


def _require(name: str, value: object, valid: bool, expected: str) -> None:
    if not valid:
        raise ParameterError(f"{name}={value!r} is not known; expected {expected}.")


def _is_whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int | np.integer) and low <= int(value) <= high


def _box(size: int, origin: tuple[int, int] | None) -> Box:
    _require("size", size, _is_whole(size, 1, FULL_FRAME), f"a side of 1 to {FULL_FRAME} pixels")
    x, y = origin if origin is not None else ((FULL_FRAME - size) // 2,) * 2
    last = FULL_FRAME - size
    if not (_is_whole(x, 0, last) and _is_whole(y, 0, last)):
        raise ParameterError(
            f"origin={(x, y)!r} leaves no room for {size} x {size} pixels in the full frame; "
            f"expected whole numbers from 0 to {last}."
        )
    return Box(x, x + size, y, y + size)


def _pointing(observation: Observation, center: SkyCoord | None, angle: u.Quantity | None) -> Pointing:
    if center is not None:
        return Pointing.of_boresight(center, angle)
    pointing = Pointing.of_observation(observation)
    return pointing if angle is None else Pointing.of_boresight(pointing.boresight, angle)


@lru_cache
def _sip_matrix(name: str) -> NDArray[np.float64]:
    header = image_template()
    side = header[f"{name}_ORDER"] + 1
    return np.array([[header.get(f"{name}_{i}_{j}", 0.0) for j in range(side)] for i in range(side)])
