"""The flux of a source in one cutout: a matched filter or an aperture, above a local plane of background.

The equations are in ``docs/explanation/photometry.md``.
"""

from __future__ import annotations

__all__ = (
    "BACKGROUND_FLAGS",
    "BAD_FLAGS",
    "LARGEST_SIZE",
    "SIZE",
    "SMALLEST_SIZE",
    "Measurement",
    "Method",
    "measure",
    "method_words",
    "require_method",
    "require_size",
)

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from numbers import Real
from typing import Any

import astropy.units as u
import numpy as np
from numpy.typing import NDArray

from ..arguments import require_number
from ..errors import ParameterError, SpherexButlerWarning
from ..images.checks import require_spectral_image
from ..images.flags import flagged, require_known_flags
from ..images.gains import UNCORRECTED
from ..images.spectral_image import SpectralImage
from .apertures import aperture_weights
from .background import Background, fit_background
from .noise import NoiseModel

Numbers = NDArray[np.float64]

BAD_FLAGS = (
    *("SUR_ERROR", "NONFUNC", "MISSING_DATA", "HOT", "COLD", "NONLINEAR", "PERSIST", "TRANSIENT"),
    *("OVERFLOW", "BLOOM"),  # saturated cores have OVERFLOW alone in QR2, and BLOOM in QR3
    UNCORRECTED,
)
"""Pixels with one of these flags are left out, where an image defines them."""

BACKGROUND_FLAGS = ("OUTLIER", "SOURCE")
"""Pixels with one of these are left out of the background besides."""

SIZE = 31
"""Side in pixels of what is looked at around a source: 3 arcmin, with some 300 for the background where SOURCE flags
seven in ten."""

SMALLEST_SIZE, LARGEST_SIZE = 11, 301

_CORE = 0.01
"""The core of a source is where its kernel is at least this part of its peak."""

_SAME = 0.1  # pixels; a neighbour that near is the source itself
_HARDLY_APART = 0.5  # pixels; nearer neighbours widen the error of a flux by a quarter and more
_AT_ONCE = 64  # kernels that are interpolated together: for each, QR2's samples need 80 kB
_ROUNDS = 3  # in which the noise model follows the flux; it changes by less than 1e-3 after the second
_TO_JANSKY = u.Unit("MJy").to("Jy")


@dataclass(frozen=True, slots=True)
class Method:
    """How flux is measured.

    Parameters
    ----------
    aperture
        Radius of a circular aperture in pixels; by default the flux is that of a matched filter.
    bad_flags
        Names of the flags whose pixels are left out.
    """

    aperture: float | None = None
    bad_flags: tuple[str, ...] = BAD_FLAGS

    def __post_init__(self) -> None:
        radius: Any = self.aperture
        names: Any = self.bad_flags
        if radius is not None and (
            isinstance(radius, bool) or not isinstance(radius, Real) or not 0 < float(radius) <= LARGEST_SIZE / 2
        ):
            raise ParameterError(
                f"aperture={self.aperture!r} is not a radius; expected a number of pixels above 0, and at most "
                f"{LARGEST_SIZE / 2:g}."
            )
        if isinstance(names, str):
            raise ParameterError(f"bad_flags={names!r} is text; expected names of flags, such as ({names!r},).")


def require_size(size: Any) -> None:
    """Refuse a side of the part of an image around a source that makes no sense."""
    require_number("size", size)
    if not SMALLEST_SIZE <= size <= LARGEST_SIZE:
        raise ParameterError(f"size={size!r} is out of range; expected {SMALLEST_SIZE} to {LARGEST_SIZE} pixels.")


def require_method(method: Any, size: int = LARGEST_SIZE) -> None:
    """Refuse what is no `Method`, and an aperture that is not within the part of an image around a source."""
    if not isinstance(method, Method):
        raise ParameterError(f"method={method!r} is no Method; expected one, such as Method(aperture=2).")
    if method.aperture is not None and 2 * method.aperture > size:
        raise ParameterError(
            f"aperture={method.aperture:g} is a circle {2 * method.aperture:g} pixels wide, of which cutouts of "
            f"size={size} hold a part; expected at most {size / 2:g}, or a larger size."
        )


def method_words(method: Method, size: int) -> dict[str, str]:
    """Return in words how fluxes are measured, for the header of a table."""
    return {
        "method": "matched filter" if method.aperture is None else f"aperture of {method.aperture:g} pixels",
        "size": f"{size} pixels",
        "bad_flags": " ".join(method.bad_flags),
    }


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one image tells of a source: flux in Jy, background in MJy/sr at its position, and how good both are.

    ``chi2`` is the reduced one of the pixels in the source's core, ``masked_fraction`` is how much of the kernel's
    core is on pixels that are left out or outside the image, and ``flags`` are all those of the core.
    """

    flux: float
    flux_error: float
    background: float
    background_error: float
    chi2: float
    masked_fraction: float
    flags: int


@dataclass(frozen=True, slots=True)
class _Source:
    """A kernel where the source is, on the pixels of the image, and how much of its core is beyond them."""

    kernel: Numbers
    core: NDArray[np.bool_]
    beyond: float


def measure(
    image: SpectralImage,
    x: float,
    y: float,
    *,
    solid_angle: float,
    neighbours: Sequence[tuple[float, float]] = (),
    method: Method | None = None,
) -> Measurement:
    """Return the flux of a point source in an image.

    Parameters
    ----------
    image
        A cutout around the source with FLAGS, VARIANCE and PSF, in MJy/sr.
    x, y
        The source, in the image's own 0-based pixels.
    solid_angle
        Of a pixel there: a number in sr, or a quantity.
    neighbours
        Other sources (x, y) whose fluxes are fitted at the same time.
    method
        By default a matched filter.

    Returns
    -------
    measurement
        Its numbers are NaN where no pixel of the core, or too few for the background, can be used.

    Raises
    ------
    ParameterError
        Raised if the source is outside the image, its unit is not MJy/sr, the solid angle is none, the neighbours are
        no pairs of numbers, or no image of any release defines a flag.

    Warns
    -----
    SpherexButlerWarning
        Issued if a neighbour is between 0.1 and 0.5 pixel from the source: one that is nearer is the source itself.
    """
    require_spectral_image(image)
    _require_brightness(image)
    method = Method() if method is None else method
    require_method(method)
    require_known_flags(method.bad_flags, {*BAD_FLAGS, *image.flag_definitions}, "bad_flags")
    solid_angle = _steradians(solid_angle)
    others = _others(image, x, y, neighbours)
    _warn_of_close(others, x, y)
    sources = _placed(image, [(x, y), *others])
    usable = _usable(image, method.bad_flags)
    free = usable & ~_flagged(image, BACKGROUND_FLAGS) & ~np.logical_or.reduce([source.core for source in sources])
    background = fit_background(image.data, free, x, y)
    noise = NoiseModel.of(image.data, image.variance, free, usable)
    target = sources[0]
    lost = float(target.kernel[target.core & ~usable].sum()) + target.beyond
    flux, error, chi2 = _fluxes(image.data, sources, usable, background, noise)
    if method.aperture is not None:
        weights = aperture_weights(image.data.shape, x, y, method.aperture) * usable
        flux, error = _aperture_flux(image.data, target, weights, background, noise.variance(flux * target.kernel))
    return Measurement(
        flux=flux * solid_angle * _TO_JANSKY,
        flux_error=error * solid_angle * _TO_JANSKY,
        background=background.value,
        background_error=background.error,
        chi2=chi2,
        masked_fraction=lost / (float(target.kernel[target.core].sum()) + target.beyond),
        flags=int(np.bitwise_or.reduce(image.flags[target.core], initial=0)),
    )


def _require_brightness(image: SpectralImage) -> None:
    """Refuse an image whose numbers mean something else: its flux would be wrong without a sign of it."""
    if image.unit != u.MJy / u.sr:
        raise ParameterError(
            f"The image is in {str(image.unit) or 'no unit'}; expected MJy / sr, to which convert_unit_to converts "
            "surface brightnesses."
        )


def _steradians(solid_angle: Any) -> float:
    """Return a solid angle as a number; NaN where none is known."""
    try:
        found = float(solid_angle.to_value(u.sr) if isinstance(solid_angle, u.Quantity) else solid_angle)
    except (TypeError, ValueError, u.UnitConversionError):
        found = -1.0
    if found <= 0 or found == np.inf:
        raise ParameterError(f"solid_angle={solid_angle!r} is no solid angle; expected that of a pixel in sr, above 0.")
    return found


def _others(
    image: SpectralImage, x: float, y: float, neighbours: Sequence[tuple[float, float]]
) -> list[tuple[float, float]]:
    rows, columns = image.data.shape
    try:
        places = np.asarray(neighbours, float).reshape(len(neighbours), 2).tolist()
    except (TypeError, ValueError):
        raise ParameterError(
            f"The neighbours are {str(neighbours)[:60]!r}; expected pairs (x, y) of the image's own pixels."
        ) from None
    return [
        (other_x, other_y)
        for other_x, other_y in places
        if -0.5 <= other_x < columns - 0.5
        and -0.5 <= other_y < rows - 0.5
        and np.hypot(other_x - x, other_y - y) > _SAME
    ]


def _warn_of_close(others: Sequence[tuple[float, float]], x: float, y: float) -> None:
    """Warn of neighbours that can hardly be told from the source; in one text, which Python shows once."""
    if any(np.hypot(other_x - x, other_y - y) < _HARDLY_APART for other_x, other_y in others):
        warnings.warn(
            f"A neighbour is less than {_HARDLY_APART:g} pixel from its source: how the light is shared between them "
            "hardly shows, and flux_error is large. If they are one source in two catalogues, remove one.",
            SpherexButlerWarning,
            stacklevel=3,
        )


def _placed(image: SpectralImage, places: Sequence[tuple[float, float]]) -> list[_Source]:
    """Return the kernels of sources (x, y) on the pixels of the image."""
    psf = image.psf
    parts = (places[start : start + _AT_ONCE] for start in range(0, len(places), _AT_ONCE))
    kernels = (psf.detector_kernel(*np.transpose(part)) for part in parts)
    shape = image.data.shape
    return [
        _on_pixels(kernel, shape, *place) for kernel, place in zip(chain.from_iterable(kernels), places, strict=True)
    ]


def _on_pixels(kernel: Numbers, shape: tuple[int, ...], x: float, y: float) -> _Source:
    reach = kernel.shape[0] // 2
    padded = np.zeros([side + 2 * reach for side in shape])
    row, column = (int(np.floor(place + 0.5)) for place in (y, x))
    padded[row : row + 2 * reach + 1, column : column + 2 * reach + 1] = kernel
    inner = (slice(reach, -reach or None),) * 2
    core = padded >= _CORE * kernel.max()
    return _Source(padded[inner], core[inner], float(padded[core].sum() - padded[inner][core[inner]].sum()))


def _usable(image: SpectralImage, bad_flags: Sequence[str]) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):
        usable: NDArray[np.bool_] = np.isfinite(image.data) & np.isfinite(image.variance) & (image.variance > 0)
    return usable & ~_flagged(image, bad_flags)


def _flagged(image: SpectralImage, names: Sequence[str]) -> NDArray[np.bool_]:
    """Return which pixels have one of the flags, of which not every release defines all."""
    definitions = image.flag_definitions
    return flagged(image.flags, definitions, [name for name in names if name in definitions])


def _fluxes(
    data: NDArray[np.floating],
    sources: Sequence[_Source],
    usable: NDArray[np.bool_],
    background: Background,
    noise: NoiseModel,
) -> tuple[float, float, float]:
    """Return flux and error of the first source, in MJy/sr times pixels, and the reduced chi2 of its core."""
    fitted = np.logical_or.reduce([source.core for source in sources]) & usable
    own = sources[0].core[fitted]
    if not own.any() or not np.isfinite(background.value):
        return np.nan, np.nan, np.nan
    kernels = np.stack([source.kernel[fitted] for source in sources], axis=1)
    above = np.asarray(data, float)[fitted] - background.plane[fitted]
    fluxes = np.zeros(len(sources))
    for _ in range(_ROUNDS):
        weights = 1 / noise.variance(kernels @ fluxes)
        covariance = np.linalg.pinv(kernels.T @ (weights[:, np.newaxis] * kernels))
        to_flux = covariance @ (kernels.T * weights)
        fluxes = to_flux @ above
    variance = covariance[0, 0] + background.variance_of(to_flux[0], fitted)
    residuals = (above - kernels @ fluxes)[own]
    free = int(own.sum()) - sum(bool((source.core & sources[0].core).any()) for source in sources)
    chi2 = float(residuals**2 @ weights[own]) / free if free > 0 else np.nan
    return float(fluxes[0]), float(np.sqrt(variance)), chi2


def _aperture_flux(
    data: NDArray[np.floating], source: _Source, weights: Numbers, background: Background, variance: Numbers
) -> tuple[float, float]:
    """Return flux and error within an aperture, corrected for the part of the kernel that is beyond it or masked."""
    inside = weights > 0
    share = float(weights[inside] @ source.kernel[inside])
    if share <= 0 or not np.isfinite(background.value):
        return np.nan, np.nan
    to_flux = weights[inside] / share
    flux = to_flux @ (np.asarray(data, float)[inside] - background.plane[inside])
    error = np.sqrt(to_flux**2 @ variance[inside] + background.variance_of(to_flux, inside))
    return float(flux), float(error)
