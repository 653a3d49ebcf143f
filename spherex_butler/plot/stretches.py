"""From numbers to brightness: the stretches by name, and ticks of a colour bar that do not crowd."""

from __future__ import annotations

__all__ = ("STRETCHES", "norm_of", "set_ticks")

from functools import partial
from typing import Any

import astropy.units as u
import numpy as np
from matplotlib.colorbar import Colorbar
from matplotlib.colors import FuncNorm, LogNorm, Normalize
from numpy.typing import NDArray

from ..errors import ParameterError, near
from ..images.stretch import BrightnessRange

STRETCHES = ("asinh", "linear", "log", "sqrt")
_TICKS = 8


def norm_of(
    values: NDArray[Any],
    mask: NDArray[np.bool_] | None,
    *,
    stretch: str | Normalize,
    limits: Any = None,
    unit: u.UnitBase = u.one,
) -> Normalize:
    """Return what makes brightness of pixels.

    Parameters
    ----------
    values
        The pixels, shape (rows, columns), from which limits follow that are not given.
    mask
        Pixels that have no say in them.
    stretch
        One of `STRETCHES`, or a norm of matplotlib, which is returned.
    limits
        What is drawn black and what white: numbers in ``unit``, or quantities.
    unit
        Of the pixels.

    Raises
    ------
    ParameterError
        Raised if there is no such stretch, or limits make no sense or do not fit to it.
    """
    if isinstance(stretch, Normalize):
        return stretch
    if stretch not in STRETCHES:
        raise ParameterError(f"stretch={stretch!r} is not known{near(str(stretch), STRETCHES)} Expected {_expected()}.")
    if stretch == "log":
        with np.errstate(invalid="ignore"):
            values = np.where(values > 0, values, np.nan)
        if limits is None and not np.isfinite(values).any():
            raise ParameterError(
                "stretch='log' needs pixels above zero, and there is none; expected 'asinh' or 'linear'."
            )
    found = BrightnessRange.of(values, mask)
    low, high = (found.low, found.high) if limits is None else _limits(limits, unit)
    return _norm(str(stretch), low, high, found.softening)


def _expected() -> str:
    return f"one of {', '.join(map(repr, STRETCHES))}, or a norm of matplotlib"


def _norm(stretch: str, low: float, high: float, softening: float) -> Normalize:
    if stretch == "linear":
        return Normalize(low, high, clip=True)
    if stretch == "sqrt":
        return FuncNorm((partial(_root, low=low), partial(_squared, low=low)), low, high, clip=True)
    if stretch == "asinh":  # as BrightnessRange.scaled; not astropy's ImageNormalize, which makes NaN white
        bend = {"low": low, "softening": softening}
        return FuncNorm((partial(_asinh, **bend), partial(_sinh, **bend)), low, high, clip=True)
    if low <= 0:
        raise ParameterError(f"The lower limit is {low:g}; expected one above zero for stretch='log'.")
    return LogNorm(low, high, clip=True)


# Functions of the module, so that figures can be copied and pickled.


def _root(value: Any, *, low: float) -> Any:
    return np.sqrt(np.maximum(value - low, 0))


def _squared(root: Any, *, low: float) -> Any:
    return low + root**2


def _asinh(value: Any, *, low: float, softening: float) -> Any:
    return np.arcsinh((value - low) / softening)


def _sinh(bent: Any, *, low: float, softening: float) -> Any:
    return low + softening * np.sinh(bent)


def _limits(limits: Any, unit: u.UnitBase) -> tuple[float, float]:
    try:
        low, high = (float(limit.to_value(unit) if isinstance(limit, u.Quantity) else limit) for limit in limits)
    except (TypeError, ValueError, u.UnitsError) as error:
        raise ParameterError(
            f"limits={limits!r} are no two numbers ({error}); expected such as (0, 2), in {unit}."
        ) from None
    if not (np.isfinite([low, high]).all() and low < high):
        raise ParameterError(f"limits={limits!r} are not in order; expected the lower one first, and both finite.")
    return low, high


def set_ticks(bar: Colorbar) -> None:
    """Put ticks at even distances along a colour bar, at values as round as may be, if its norm is not linear."""
    norm = bar.norm
    if not isinstance(norm, FuncNorm):
        return
    even = np.asarray(norm.inverse(np.linspace(0, 1, _TICKS)), float)
    ticks = [_rounded(value, step) for value, step in zip(even, np.gradient(even), strict=True)]
    inside = sorted({tick for tick in ticks if (norm.vmin or 0) <= tick <= (norm.vmax or 0)})
    bar.set_ticks(inside, labels=[f"{tick:g}" for tick in inside])


def _rounded(value: float, step: float) -> float:
    """Return a value with no more digits than its distance to the next needs."""
    return float(round(value, int(np.ceil(-np.log10(step / 2)))))
