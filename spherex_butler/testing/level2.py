"""Simulated Level 2 files, faithful to the archive's format in everything but the sky.

=========== =============================================== ================================
EXTNAME     QR2                                             QR3
=========== =============================================== ================================
PRIMARY     VERSION, DATE, TELESCOP, INSTRUME               the same
IMAGE       float32 (2040, 2040), MJy / sr                  the same
FLAGS       int32, ``MP_<NAME> = bit``                      RICE_1, ``MSKNnnnn``, ``MSKMnnnn``
VARIANCE    float32, MJy2 / sr2                             the same
ZODI        float32, MJy / sr                               the same
PSF, EPSF   float32 (121, 101, 101), ten samples a pixel    table of 441 (detector 3: 451)
                                                            kernels, five samples a pixel
WCS-WAVE    table of one row: X, Y, VALUES (ny, nx, 2)      the same
=========== =============================================== ================================

Headers are real ones (`spherex_butler.testing.headers`), wavelengths follow
the real spectral channels, and the sky is one of known sources
(`spherex_butler.testing.sky`).  Pixels flagged HOT, COLD, TRANSIENT or OUTLIER
deviate from it; all others only by noise of the variance given.
"""

from __future__ import annotations

__all__ = (
    "PlannedFile",
    "existing_files",
    "level2_hdulist",
    "plan_exposures",
    "write_exposures",
    "write_level2",
)

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from astropy.io import fits

from ..constants import DETECTORS
from ..errors import ParameterError
from ..images.level2 import write_file
from ..images.psf import zones_are_swapped
from .frames import Frame, Level2Options, make_frame
from .headers import flags_header, image_header, plane_header, primary_header
from .planes import make_planes
from .pointing import Pointing
from .psf_models import cube_kernels, effective_kernels, make_zones, widths_at

_REDUCED_ZONES = (3, 3)
_REDUCED_SIDE = 41
_CUBE_ZONES, _CUBE_SIDE = (11, 11), 101
_TABLE_ZONES = {detector: (11, 41) if detector == 3 else (21, 21) for detector in DETECTORS}
_TABLE_SIDE = 33
_STARS_A_ZONE = 300  # the real tables give how many stars made a kernel


def write_level2(path: str | os.PathLike[str], *, overwrite: bool = False, **options: Unpack[Level2Options]) -> Path:
    """Write one simulated Level 2 file.

    Parameters
    ----------
    path
        File to write, named ``….fits``; anything else is a folder, in which
        the file gets the archive's name.  Folders are made as needed.
    overwrite
        Whether to replace a file that is there.
    **options
        See `Level2Options`.

    Returns
    -------
    path
        The file written.

    Raises
    ------
    FileExistsError
        Raised if the file is there and ``overwrite`` was not given.
    FormatError, ParameterError
        Raised if an option has no meaning.

    Notes
    -----
    The same options give the same bytes.
    """
    frame = make_frame(**options)
    target = Path(path)
    if target.suffix != ".fits" or target.is_dir():
        target /= frame.file_name
    if target.exists() and not overwrite:
        raise FileExistsError(f"{str(target)!r} exists; pass overwrite=True to replace it.")
    target.parent.mkdir(parents=True, exist_ok=True)
    write_file(_hdulist(frame), target, overwrite=overwrite)
    return target


def level2_hdulist(**options: Unpack[Level2Options]) -> fits.HDUList:
    """Return the HDUs of one simulated Level 2 file.

    Parameters
    ----------
    **options
        See `Level2Options`.

    Raises
    ------
    FormatError, ParameterError
        Raised if an option has no meaning.
    """
    return _hdulist(make_frame(**options))


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file that `write_exposures` will write.

    Parameters
    ----------
    path
        The file.
    options
        What it will hold.
    """

    path: Path
    options: Level2Options


def plan_exposures(
    folder: str | os.PathLike[str],
    *,
    exposures: int = 2,
    detectors: Iterable[int] = DETECTORS,
    tree: bool = False,
    **options: Unpack[Level2Options],
) -> list[PlannedFile]:
    """Return the files of a sequence of exposures, without writing them.

    Parameters
    ----------
    folder
        Folder to write to.
    exposures
        How many exposures, each one spectral channel further along the
        detectors' y than the one before, in small slews three a large slew.
    detectors
        Detectors to write of each exposure.
    tree
        Whether to use the archive's folders,
        ``{release}/level2/{planning period}/{token}/{detector}``.
    **options
        See `Level2Options`; ``obs_id`` and ``center`` belong to the first exposure.

    Raises
    ------
    FormatError, ParameterError
        Raised if an option has no meaning.
    """
    if exposures < 1:
        raise ParameterError(f"exposures={exposures!r} asks for nothing; expected a number from 1.")
    numbers = tuple(detectors)
    if not numbers:
        raise ParameterError("detectors is empty; expected some of 1 to 6.")
    given: Level2Options = {**options, "detector": numbers[0]}
    first = make_frame(**given)
    observation = first.observation
    planned = []
    for number in range(exposures):
        chosen: Level2Options = {**options, "obs_id": str(observation)}
        if options.get("center") is not None:
            pointing: Pointing = first.pointing.scanned(number)
            chosen |= {"center": pointing.boresight, "position_angle": pointing.position_angle}
        for detector in numbers:
            file_options: Level2Options = {**chosen, "detector": detector}
            frame = make_frame(**file_options)
            place = Path(folder) / (frame.folder if tree else "") / frame.file_name
            planned.append(PlannedFile(place, file_options))
        observation = observation.following()
    return planned


def write_exposures(
    folder: str | os.PathLike[str],
    *,
    exposures: int = 2,
    detectors: Iterable[int] = DETECTORS,
    tree: bool = False,
    overwrite: bool = False,
    **options: Unpack[Level2Options],
) -> list[Path]:
    """Write the files of a sequence of exposures.

    Parameters
    ----------
    folder, exposures, detectors, tree, **options
        See `plan_exposures`.
    overwrite
        Whether to replace files that are there.

    Returns
    -------
    paths
        The files written.

    Raises
    ------
    FileExistsError
        Raised before anything is written if one of the files is there and
        ``overwrite`` was not given.
    """
    plan = plan_exposures(folder, exposures=exposures, detectors=detectors, tree=tree, **options)
    if not overwrite and (taken := existing_files(plan)):
        raise FileExistsError(
            f"{len(taken)} of the files exist, the first {str(taken[0])!r}; pass overwrite=True to replace them."
        )
    return [write_level2(file.path, overwrite=overwrite, **file.options) for file in plan]


def existing_files(plan: Iterable[PlannedFile]) -> list[Path]:
    """Return the files of a plan that are there already."""
    return [file.path for file in plan if file.path.exists()]


def _hdulist(frame: Frame) -> fits.HDUList:
    planes = make_planes(frame)
    return fits.HDUList(
        [
            fits.PrimaryHDU(header=primary_header(frame)),
            fits.ImageHDU(planes.image, header=image_header(frame)),
            _flags_hdu(frame, planes.flags),
            fits.ImageHDU(planes.variance, header=plane_header(frame, "VARIANCE", "MJy2 / sr2")),
            fits.ImageHDU(planes.zodi, header=plane_header(frame, "ZODI", "MJy / sr")),
            _cube_hdu(frame) if frame.release == "qr2" else _kernel_table_hdu(frame),
            frame.wavelengths.to_hdu(),
        ]
    )


def _flags_hdu(frame: Frame, flags: np.ndarray[Any, Any]) -> Any:
    header = flags_header(frame)
    if frame.release == "qr2":
        return fits.ImageHDU(flags, header=header)
    return fits.CompImageHDU(
        flags, header=header, name="FLAGS", compression_type="RICE_1", tile_shape=(1, flags.shape[1])
    )


def _cube_hdu(frame: Frame) -> fits.ImageHDU:
    zones = make_zones(_CUBE_ZONES if frame.full_psf else _REDUCED_ZONES)
    wavelength, _ = frame.wavelengths.at(zones.x_center, zones.y_center)
    widths = widths_at(zones.x_center, zones.y_center, wavelength)
    hdu = fits.ImageHDU(cube_kernels(widths, _CUBE_SIDE if frame.full_psf else _REDUCED_SIDE), name="PSF")
    cards = {"XCTR": zones.x_center, "YCTR": zones.y_center, "XWID": zones.x_width, "YWID": zones.y_width}
    if zones_are_swapped(frame.version):
        cards = dict(zip(cards, (cards[name] for name in ("YCTR", "XCTR", "YWID", "XWID")), strict=True))
    meanings = {
        "XCTR": "zone center, x",
        "YCTR": "zone center, y",
        "XWID": "zone width, x",
        "YWID": "zone width, y",
    }
    for name, values in cards.items():
        hdu.header.extend(
            [(f"{name}_{i}", round(float(value), 6), f"[pixel] {meanings[name]}") for i, value in enumerate(values, 1)]
        )
    return hdu


def _kernel_table_hdu(frame: Frame) -> fits.BinTableHDU:
    zones = make_zones(_TABLE_ZONES[frame.detector] if frame.full_psf else _REDUCED_ZONES)
    at = zones.x_center, zones.y_center
    wavelength, bandwidth = frame.wavelengths.at(*at)
    kernels = effective_kernels(widths_at(*at, wavelength), _TABLE_SIDE)
    middle = _TABLE_SIDE // 2
    pixels = kernels[:, middle % 5 :: 5, middle % 5 :: 5]  # as a source in a pixel's center fills pixels
    columns: list[tuple[str, str, Any, str | None]] = [
        ("BINX", "J", zones.column, None),
        ("BINY", "J", zones.row, None),
        ("XCENTER", "D", zones.x_center, "pixel"),
        ("YCENTER", "D", zones.y_center, "pixel"),
        ("XWIDTH", "D", zones.x_width, "pixel"),
        ("YWIDTH", "D", zones.y_width, "pixel"),
        ("NSTAR", "J", np.full(zones.row.size, _STARS_A_ZONE), None),
        ("NEFF_MEAN", "D", pixels.sum(axis=(1, 2)) ** 2 / (pixels**2).sum(axis=(1, 2)), "pixel"),
        ("CWAVE", "D", wavelength, "um"),
        ("CBAND", "D", bandwidth, "um"),
    ]
    table = [fits.Column(name, form, array=values, unit=unit) for name, form, values, unit in columns]
    side = _TABLE_SIDE
    table.append(fits.Column("EPSF", f"{side * side}D", dim=f"({side},{side})", array=kernels))
    return fits.BinTableHDU.from_columns(table, name="EPSF")
