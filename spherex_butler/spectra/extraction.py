"""Spectra of sources from all images that saw them."""

from __future__ import annotations

__all__ = ("SIZE", "extract_spectra", "extract_spectrum")

import logging
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from lsst.daf.butler import Butler, DatasetRef

from ..errors import ParameterError, SpherexButlerWarning, reason_of
from ..images.positions import sky_pixels
from ..images.spectral_image import SpectralImage
from ..repository.failures import one_item, told_as_repository_failures
from ..repository.times import nanoseconds_of
from ..search import Cutouts, FailedCutout, find_images
from ..search.coordinates import names_in, require_own_names
from ..search.cutouts import CONNECTIONS, stream_cutouts
from ..search.targets import Position
from ..search.wavelengths import WavelengthMaps
from .gains import Gains
from .kernels import Kernels
from .photometry import BAD_FLAGS, SIZE, Method, measure, method_words, require_method, require_size
from .solid_angles import SolidAngles
from .table import spectrum_table

_PLANES = ("FLAGS", "VARIANCE", "WCS-WAVE")
_GAINS = "qr3"

_log = logging.getLogger(__name__)


def extract_spectrum(butler: Butler, position: Position, **options: Any) -> QTable:
    """Return the spectrum of the source at a position.

    Parameters
    ----------
    butler
        A SPHEREx repository, which may be read-only.
    position
        One position, as for `~spherex_butler.search.find_images`.
    **options
        Of `extract_spectra`.

    Returns
    -------
    spectrum
        As of `extract_spectra`.

    Raises
    ------
    ParameterError
        Raised if there are several positions, or for the reasons of `extract_spectra`.
    """
    table = extract_spectra(butler, position, **options)
    if len(set(table["source"].tolist())) > 1:
        raise ParameterError(
            f"There are spectra of {len(set(table['source'].tolist()))} sources; expected one position. "
            "extract_spectra takes several."
        )
    return table


@told_as_repository_failures()
def extract_spectra(
    butler: Butler,
    positions: Position | None = None,
    *,
    table: Table | None = None,
    size: int = SIZE,
    aperture: float | None = None,
    gains: Literal["qr3"] | None = None,
    deblend: bool = False,
    neighbours: SkyCoord | None = None,
    bad_flags: Iterable[str] = BAD_FLAGS,
    folder: str | os.PathLike[str] | None = None,
    connections: int = CONNECTIONS,
    report: Cutouts | None = None,
    **search: Any,
) -> QTable:
    """Return the spectra of point sources: the flux of each in every image that saw it.

    Parameters
    ----------
    butler
        A SPHEREx repository, which may be read-only.
    positions
        The sources, as for `~spherex_butler.search.find_images`.
    table
        Instead of positions: the images to measure in, from `~spherex_butler.search.find_images`.
    size
        Side of the cutouts in pixels, of which those without a source tell the background.
    aperture
        Radius in pixels of a circular aperture (extra ``spectra``). By default fluxes are those of a matched filter,
        which weighs each pixel by the PSF.
    gains
        ``"qr3"`` puts images of QR2 onto the gains of QR3, by the ``l3_flux_corrections`` that are certified for them,
        and gives their detectors 5 and 6 the wavelengths of QR3.
    deblend
        Whether to fit all sources in a cutout together: the others of ``positions``, and ``neighbours``.
    neighbours
        Sources that are fitted besides, but not returned.
    bad_flags
        Pixels with one of these are left out, where an image defines them.
    folder
        Where cutouts and PSFs are kept, so that the same call reads nothing again.
    connections
        At most so many requests are under way to one server.
    report
        To be filled with the measurements that failed, and why.
    **search
        Further arguments of `~spherex_butler.search.find_images`: ``wavelength=``, ``time=``, ``detectors=`` …

    Returns
    -------
    spectra
        A row for each source and image, by source and time:

        ``source``
            Name of the source, or its number from 0.
        ``wavelength``, ``bandwidth``
            At the source's pixel, µm.
        ``flux``, ``flux_error``
            Jy; negative values are kept. NaN where nothing could be measured.
        ``background``, ``background_error``
            At the source, MJy/sr, zodiacal light included.
        ``chi2``
            Reduced, of the pixels in the source's core.
        ``masked_fraction``
            How much of the PSF's core is on pixels that are left out, 0 to 1.
        ``flags``
            All flags of the core's pixels; ``meta["flags"]`` names the bits.
        ``x``, ``y``
            The source's 0-based full-frame pixel, by the image's header.
        ``detector``, ``exposure``, ``obs_id``, ``time``, ``release``, ``run``, ``dataset_id``
            Which image.

        ``meta`` says how they were made.

    Raises
    ------
    ParameterError
        Raised if an argument makes no sense, or no correction is certified where ``gains`` asks for one.
    ConfigurationError
        Raised if it is no SPHEREx repository, or photutils is missing for an aperture.

    Warns
    -----
    SpherexButlerWarning
        Issued if images are of several releases, whose gains differ, and ``gains`` was not given.

    Notes
    -----
    `How fluxes are measured <../explanation/photometry>` has the equations.
    """
    images = _images(butler, positions, table, search)
    method = Method(aperture, _names(bad_flags))
    require_size(size)
    require_method(method, size)
    _require(gains)
    _warn_of_mixture(images, gains)
    done = Cutouts() if report is None else report
    place = None if folder is None else Path(folder)
    work = _Work.of(butler, images, method, gains=gains, deblend=deblend, neighbours=neighbours, folder=place)
    cutouts = stream_cutouts(butler, images, size, folder=folder, planes=_PLANES, connections=connections, report=done)
    for rows, cutout in cutouts:
        image = SpectralImage.read(cutout) if isinstance(cutout, Path) else cutout
        for row in rows:
            with one_item(partial(_failed, done, row)):
                work.measure(row, image)
    if done.failed:
        _log.warning("%d of %d measurements failed, the first: %s", len(done.failed), len(images), done.failed[0])
    return spectrum_table(images, work.measured, work.meta(size))


def _failed(report: Cutouts, row: int, error: Exception) -> None:
    subject = report[row]
    report.fail(FailedCutout(row, subject.subject if isinstance(subject, FailedCutout) else "", reason_of(error)))


def _images(butler: Butler, positions: Any, table: Table | None, search: Mapping[str, Any]) -> Table:
    if (positions is None) == (table is None):
        raise ParameterError("Give positions, or the table of a search; expected one of both.")
    if table is None:
        if isinstance(positions, Table):
            require_own_names(names_in(positions) or ())
        return find_images(butler, positions, **search)
    if search:
        raise ParameterError(f"{', '.join(search)} choose images, and table is a choice already; give one of both.")
    return table


def _names(bad_flags: Iterable[str]) -> tuple[str, ...]:
    return (bad_flags,) if isinstance(bad_flags, str) else tuple(bad_flags)


def _require(gains: Any) -> None:
    if gains not in {None, _GAINS}:
        raise ParameterError(f"gains={gains!r} is not known; expected {_GAINS!r}, or None for those of each release.")


def _warn_of_mixture(images: Table, gains: str | None) -> None:
    releases = sorted(set(images["release"].tolist()) - {""})
    if len(releases) > 1 and gains is None:
        warnings.warn(
            f"The images are of {' and '.join(releases)}, whose gains differ by about 3 %. Pass gains='qr3' to put QR2 "
            "onto QR3's, or search one release: collections='SPHEREx/qr3'.",
            SpherexButlerWarning,
            stacklevel=4,
        )


@dataclass(slots=True)
class _Work:
    """What all measurements share, and what was measured, by row."""

    images: Table
    refs: Mapping[str, DatasetRef]
    times: Sequence[int]
    method: Method
    gains: Gains | None
    maps: WavelengthMaps
    kernels: Kernels
    solid_angles: SolidAngles
    others: Mapping[str, SkyCoord]
    neighbours: SkyCoord | None
    measured: dict[int, dict[str, Any]] = field(default_factory=dict)
    flags: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        butler: Butler,
        images: Table,
        method: Method,
        *,
        gains: str | None,
        deblend: bool,
        neighbours: SkyCoord | None,
        folder: Path | None,
    ) -> _Work:
        return cls(
            images,
            {str(ref.id): ref for ref in butler.get_many_datasets(set(images["dataset_id"].tolist()))},
            nanoseconds_of(images["time"].unmasked if images["time"].masked else images["time"]).tolist(),
            method,
            None if gains is None else Gains(butler),
            WavelengthMaps(butler, ["SPHEREx/defaults"]),
            Kernels(butler, None if folder is None else folder / "psf"),
            SolidAngles(butler),
            _by_dataset(images) if deblend else {},
            neighbours,
        )

    def measure(self, row: int, image: SpectralImage) -> None:
        """Measure the source of a row in its cutout."""
        images, ref = self.images, self.refs[str(self.images["dataset_id"][row])]
        release = str(images["release"][row])
        self.kernels.attach(image, ref, release)
        if self.gains is not None and release == "qr2":
            image = self.gains.applied(image, ref, self.times[row])
        position = SkyCoord(images["ra"][row], images["dec"][row], unit="deg")
        x, y = (axis.item() for axis in sky_pixels(position, image.data.shape, image.wcs))
        found = measure(
            image,
            x,
            y,
            solid_angle=self.solid_angles.at(image, x, y, self.times[row]),
            neighbours=self._neighbours(row, image),
            method=self.method,
        )
        full_x, full_y = x + image.origin[0], y + image.origin[1]
        wavelength, bandwidth = self._wavelength(image, release, full_x, full_y)
        self.flags |= image.flag_definitions
        self.measured[row] = asdict(found) | {
            "x": full_x,
            "y": full_y,
            "wavelength": wavelength.item(),
            "bandwidth": bandwidth.item(),
        }

    def _wavelength(self, image: SpectralImage, release: str, x: float, y: float) -> Any:
        table = image.wavelength_table
        if self.gains is not None and release == "qr2" and image.detector is not None:
            table = self.maps.of_release(image.detector, _GAINS)
        return table.interpolated(np.array([x]), np.array([y]))

    def _neighbours(self, row: int, image: SpectralImage) -> list[tuple[float, float]]:
        known = [self.others.get(str(self.images["dataset_id"][row])), self.neighbours]
        return [
            (float(x), float(y))
            for positions in known
            if positions is not None
            for x, y in zip(*sky_pixels(positions, image.data.shape, image.wcs), strict=True)
        ]

    def meta(self, size: int) -> dict[str, str]:
        """Return how the measurements were made, in words."""
        return {
            **method_words(self.method, size),
            "gains": "of each release" if self.gains is None else " ".join(["qr3", *sorted(self.gains.runs)]),
            "solid_angle": " ".join(sorted(self.solid_angles.sources)),
            "deblended": "yes" if self.others or self.neighbours is not None else "no",
            "flags": " ".join(f"{name}={bit}" for name, bit in sorted(self.flags.items(), key=lambda one: one[1])),
        }


def _by_dataset(images: Table) -> dict[str, SkyCoord]:
    """Return the positions that are asked for in each image."""
    names, place = np.unique(np.asarray(images["dataset_id"], np.str_), return_inverse=True)
    rows = np.split(np.argsort(place, kind="stable"), np.cumsum(np.bincount(place, minlength=len(names)))[:-1])
    positions = SkyCoord(*(u.Quantity(images[name], u.deg) for name in ("ra", "dec")))
    return {str(name): positions[own] for name, own in zip(names, rows, strict=False)}
