"""Flags drawn over an image: which of them, each in a colour of its own, with a legend by name."""

from __future__ import annotations

__all__ = ("FlagLayers", "Flags", "draw_flags", "flag_layers", "legend_columns", "legend_handles", "no_value_handles")

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.image import AxesImage
from matplotlib.patches import Patch
from numpy.typing import NDArray

from ..errors import ParameterError
from ..images.flags import USABLE_FLAGS, flagged
from ..images.spectral_image import SpectralImage
from .colors import LAYERS, NO_VALUE, REST

Flags: TypeAlias = bool | str | Iterable[str]
"""Which flags are drawn: `True` for those that mask, ``"all"``, a name or names; `False` for none."""

Color: TypeAlias = tuple[float, float, float, float]

_MASK = "masked"
_USUAL = dict(zip(("DICHROIC", "TRANSIENT", "SUR_ERROR", "NONFUNC", "PERSIST", "COLD", "HOT"), LAYERS, strict=True))
"""The flags that nearly every image has, in the same colour in every picture; others have what these leave."""

_HARMLESS = 0.4  # opaque
_ENTRY = 1.5  # inches
_LEAST = 1e-4  # of all pixels; smaller shares are only said to be that


@dataclass(frozen=True, slots=True, eq=False)
class FlagLayers:
    """Which flag each pixel is drawn for: where it has several, the one that the fewest pixels have.

    Parameters
    ----------
    index
        Of the pixels, shape (rows, columns): 0 for none, or the number of the flag among ``shares``, from 1.
    shares
        Of all pixels of all images that are drawn together, those that have a flag, by its name.
    """

    index: NDArray[np.uint8]
    shares: Mapping[str, float]


def flag_layers(images: Sequence[SpectralImage], flags: Flags) -> list[FlagLayers]:
    """Return the flags of images that are to be drawn, without those that no pixel has.

    Raises
    ------
    ParameterError
        Raised if a flag is not defined, or an image has no flags and some are asked for by name.
    """
    found = [dict(_chosen(image, flags)) for image in images]
    counts: Counter[str] = Counter()
    for layers in found:
        counts.update({name: int(where.sum()) for name, where in layers.items()})
    names = [name for name, _ in counts.most_common()]
    shown, rest = names[: len(LAYERS)], names[len(LAYERS) :]
    pixels = sum(image.data.size for image in images)
    shares = {name: counts[name] / pixels for name in shown}
    if rest:
        shares[f"{len(rest)} others"] = sum(counts[name] for name in rest) / pixels
    return [FlagLayers(_index(image, layers, shown, rest), shares) for image, layers in zip(images, found, strict=True)]


def _index(
    image: SpectralImage, layers: Mapping[str, NDArray[np.bool_]], shown: Iterable[str], rest: Iterable[str]
) -> NDArray[np.uint8]:
    index = np.zeros(image.data.shape, np.uint8)
    numbers = {name: number for number, name in enumerate(shown, 1)}
    numbers |= dict.fromkeys(rest, len(numbers) + 1)
    for name, number in numbers.items():
        if name in layers:
            index[layers[name]] = number
    return index


def _chosen(image: SpectralImage, flags: Flags) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield the flags that are asked for and that some pixel has: name and pixels."""
    mask = image.mask if flags is True else None
    left = None if mask is None else mask.copy()
    for name in _names(image, flags):
        where = flagged(image.flags, image.flag_definitions, [name])
        if mask is not None and left is not None:
            where &= mask
            left &= ~where
        if where.any():
            yield name, where
    if left is not None and left.any():
        yield _MASK, left


def _names(image: SpectralImage, flags: Flags) -> Iterable[str]:
    if flags is False:
        return ()
    if flags is True:
        return image.bad_flags
    if flags == "all":
        return tuple(image.flag_definitions)
    try:
        return (flags,) if isinstance(flags, str) else tuple(flags)
    except TypeError:
        raise ParameterError(
            f"flags={flags!r} is not understood; expected True for those that mask, 'all', names of flags, or False."
        ) from None


def draw_flags(ax: Axes, layers: FlagLayers) -> AxesImage | None:
    """Draw flags over an image of the same pixels; return what was drawn, `None` if no pixel is flagged.

    Where a pixel of the figure has many of the image's, the overlay is as dense as the flagged ones among them: a
    structure is seen as such, and single pixels of two thousand a side as the haze that they are.
    """
    if not layers.index.any():
        return None
    palette = np.array([(0, 0, 0, 0), *_colors(layers)]) * 255
    return ax.imshow(palette.astype(np.uint8)[layers.index], origin="lower", interpolation_stage="rgba", zorder=1)


def legend_handles(layers: FlagLayers) -> list[Patch]:
    """Return what a legend shows of flags: the colour, the name, and the share of the pixels."""
    named = zip(_colors(layers), layers.shares.items(), strict=True)
    return [
        Patch(facecolor=color, edgecolor="0.5", lw=0.5, label=f"{name} {_percent(share)}")
        for color, (name, share) in named
    ]


def legend_columns(width: float) -> int:
    """Return how many columns a legend of flags has in so many inches."""
    return int(np.clip(width / _ENTRY, 1, 4))


def no_value_handles(values: NDArray[Any]) -> list[Patch]:
    """Return what a legend shows of pixels that are NaN or infinite, if there are any."""
    share = 1 - float(np.isfinite(values).mean())
    return [Patch(facecolor=NO_VALUE, edgecolor="0.5", lw=0.5, label=f"NaN {_percent(share)}")] if share else []


def _colors(layers: FlagLayers) -> list[Color]:
    """Return the colour of each flag; one that spoils no pixel lets the image shine through."""
    free = [color for name, color in _USUAL.items() if name not in layers.shares]
    chosen = [_USUAL.get(name) or (free.pop(0) if free else REST) for name in layers.shares]
    return [
        to_rgba(color, _HARMLESS if name in USABLE_FLAGS else 1.0)
        for name, color in zip(layers.shares, chosen, strict=True)
    ]


def _percent(share: float) -> str:
    """Return a share of the pixels in words."""
    shown = f"{100 * share:{'.2g' if share < 0.1 else '.0f'}}" if share >= _LEAST else f"<{100 * _LEAST:g}"
    return f"{shown}\N{NARROW NO-BREAK SPACE}%"
