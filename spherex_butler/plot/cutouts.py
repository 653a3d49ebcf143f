"""A picture of cutouts of one position, each at its wavelength."""

from __future__ import annotations

__all__ = ("plot_cutouts",)

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.nddata import CCDData
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.patches import Patch
from numpy.typing import NDArray

from ..arguments import require_number
from ..errors import ParameterError, hide_secrets
from ..images.spectral_image import SpectralImage
from ..search.cutout_report import FailedCutout
from .axes import given_axes, new_grid
from .flag_overlay import Flags, draw_flags, flag_layers, legend_columns, legend_handles
from .image import draw_pixels
from .image_planes import as_spectral_image, celestial_of, has_wavelengths, plane_of, warn_of_wcs
from .sky import draw_compass, draw_mark, require_position
from .stretches import norm_of, set_ticks

_PANEL = 1.6  # inches
_MOST = 120
_WIDTH, _LINES = 22, 9  # of the reason in a panel: characters and lines


def plot_cutouts(
    cutouts: Iterable[SpectralImage | FailedCutout],
    *,
    ax: Axes | Sequence[Axes] | None = None,
    columns: int = 6,
    plane: str = "image",
    stretch: str | Normalize | None = None,
    limits: tuple[Any, Any] | None = None,
    flags: Flags = True,
    mark: SkyCoord | None = None,
) -> list[Axes]:
    """Draw cutouts side by side in order of wavelength, all with one scale of brightness.

    Parameters
    ----------
    cutouts
        What `~spherex_butler.search.get_cutouts` returned, or some of it, or any images. Those that failed come last,
        with the reason in place of a picture.
    ax
        Plain axes, one for each cutout, or at least as many. By default a new figure of pyplot.
    columns
        Of a new figure: so many cutouts stand side by side.
    plane, stretch, limits, flags
        As for `plot_image`; limits follow from all cutouts together. Flags have the same colours in all.
    mark
        A position to mark in each cutout that holds it. The wavelength in the title is that at the mark, or else in the
        middle of the cutout.

    Returns
    -------
    axes
        Of the cutouts, as drawn: in order of wavelength, then those that do not know theirs, then those that failed.

    Raises
    ------
    ParameterError
        Raised if there is no cutout, or there are more than 120, or an argument makes no sense.

    Warns
    -----
    SpherexButlerWarning
        Issued if a cutout has a WCS that cannot be used; it is then drawn without the direction of North.
    """
    if mark is not None:
        require_position(mark)
    panels = _panels(cutouts, mark)
    images = [panel.image for panel in panels if panel.image is not None]
    for image in images:
        warn_of_wcs(image)
    scale = _Scale.of(images, plane, stretch, limits)
    layers = flag_layers(images, flags)
    axes = _axes(ax, columns, len(panels))
    for place, panel in zip(axes, panels, strict=True):
        place.set(xticks=[], yticks=[])
        place.set_title(panel.title, fontsize="small")
        if panel.image is None:
            place.set(aspect="equal")
            place.text(0.5, 0.5, panel.reason, ha="center", va="center", fontsize=6, transform=place.transAxes)
    for place, image, values, own in zip(axes, images, scale.values, layers, strict=False):
        draw_pixels(place, values, scale.norm, scale.colors)
        draw_flags(place, own)
        _draw_sky(place, image, mark)
    if images:
        _explain(axes, scale, legend_handles(layers[0]))
    return axes


@dataclass(frozen=True, slots=True, eq=False)
class _Panel:
    """One of the pictures: a cutout, or why there is none."""

    title: str
    image: SpectralImage | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class _Scale:
    """What cutouts have in common: one unit, and one scale of brightness."""

    label: str
    colors: str
    norm: Normalize
    values: list[NDArray[Any]]

    @classmethod
    def of(
        cls,
        images: Sequence[SpectralImage],
        plane: str,
        stretch: str | Normalize | None,
        limits: tuple[Any, Any] | None,
    ) -> Self:
        kind = plane_of(plane)
        found = [kind.of(image) for image in images]
        unit = found[0][1] if found else u.one
        try:
            values = [u.Quantity(array, own, copy=None).to_value(unit) for array, own in found]
        except u.UnitConversionError as error:
            raise ParameterError(
                f"The cutouts have no common unit: {error}; expected one, or each drawn alone."
            ) from None
        pixels = np.concatenate([np.empty(0), *(array.ravel() for array in values)])[np.newaxis]
        mask = np.concatenate([np.empty(0, bool), *(_mask(image).ravel() for image in images)])[np.newaxis]
        norm = norm_of(pixels, mask, stretch=kind.stretch if stretch is None else stretch, limits=limits, unit=unit)
        return cls("\n".join(part.strip() for part in kind.labelled(unit)), kind.colors, norm, values)


def _panels(cutouts: Iterable[SpectralImage | FailedCutout], mark: SkyCoord | None) -> list[_Panel]:
    """Return what is drawn, in order."""
    given = _listed(cutouts)
    if not given:
        raise ParameterError("There are no cutouts; expected at least one.")
    if len(given) > _MOST:
        raise ParameterError(f"There are {len(given)} cutouts; expected at most {_MOST}, such as cutouts[:{_MOST}].")
    failed = [one for one in given if isinstance(one, FailedCutout)]
    images = [as_spectral_image(one) for one in given if not isinstance(one, FailedCutout)]
    placed = [(_wavelength(image, mark), image) for image in images]
    placed.sort(key=lambda pair: np.inf if pair[0] is None else pair[0])
    return [
        *(_Panel(image.obs_id or "" if at is None else f"{at:.3f} µm", image) for at, image in placed),
        *(_Panel(f"row {one.row} failed", reason=_wrapped(one)) for one in failed),
    ]


def _listed(cutouts: object) -> list[object]:
    if not isinstance(cutouts, Iterable) or isinstance(cutouts, CCDData):
        raise ParameterError(
            f"The cutouts are a {type(cutouts).__name__}; expected a list of images, such as get_cutouts returns."
        )
    return list(cutouts)


def _wavelength(image: SpectralImage, mark: SkyCoord | None) -> float | None:
    """Return the wavelength that a cutout is of, in µm, `None` if it is not known."""
    if not has_wavelengths(image):
        return None
    if mark is not None and celestial_of(image) is not None:
        at = float(np.ravel(image.wavelength_at(mark, outside="nan").value)[0])
        if np.isfinite(at):
            return at
    rows, columns = image.data.shape
    return float(image.wavelength_at((columns - 1) / 2, (rows - 1) / 2).value)


def _mask(image: SpectralImage) -> NDArray[np.bool_]:
    return np.zeros(image.data.shape, bool) if image.mask is None else image.mask


def _wrapped(failed: FailedCutout) -> str:
    """Return why a cutout failed, in lines that fit into a panel."""
    return "\n".join(textwrap.wrap(hide_secrets(failed.reason), _WIDTH, max_lines=_LINES, placeholder=" …"))


def _axes(ax: Axes | Sequence[Axes] | None, columns: int, number: int) -> list[Axes]:
    if ax is None:
        require_number("columns", columns)
        return new_grid(number, columns, _PANEL)
    given = [given_axes(one) for one in np.ravel(np.asarray(ax, object))]
    if len(given) < number:
        raise ParameterError(f"ax has {len(given)} axes for {number} cutouts; expected one for each, or no ax.")
    return given[:number]


def _draw_sky(ax: Axes, image: SpectralImage, mark: SkyCoord | None) -> None:
    if (wcs := celestial_of(image)) is not None:
        draw_compass(ax, wcs, image.data.shape, small=True)
    if mark is not None:
        draw_mark(ax, mark, wcs, image.data.shape, outside="nan")


def _explain(axes: Sequence[Axes], scale: _Scale, handles: list[Patch]) -> None:
    """Add a colour bar and a legend to the figure."""
    figure = axes[0].figure
    beside = [ax for ax in axes if ax.figure is figure]
    set_ticks(figure.colorbar(axes[0].images[0], ax=beside, label=scale.label, pad=0.02))
    if handles:
        place: Any = f"{'' if figure.get_layout_engine() is None else 'outside '}lower left"
        figure.legend(
            handles=handles,
            loc=place,
            ncols=legend_columns(figure.bbox.width / figure.dpi),
            fontsize="small",
            frameon=False,
        )
