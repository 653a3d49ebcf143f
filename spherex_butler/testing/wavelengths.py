"""Wavelength and bandwidth of every pixel of every detector, after the real spectral channels.

The model and where it comes from are in ``data/wavelength_model.json``.
"""

from __future__ import annotations

__all__ = ("WavelengthGrid", "bandwidth_model", "wavelength_grid", "wavelength_model")

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.polynomial import polynomial
from numpy.typing import ArrayLike, NDArray

from ..formats.fits.boxes import Box

_SIDE = 2040


@dataclass(frozen=True, slots=True, eq=False)
class WavelengthGrid:
    """Control points between which wavelength and bandwidth are linear.

    Parameters
    ----------
    x, y
        Control points in 1-based full-frame pixels, int32, shapes (nx,) and (ny,).
    values
        Wavelength and bandwidth in µm, float32, shape (ny, nx, 2).
    """

    x: NDArray[np.int32]
    y: NDArray[np.int32]
    values: NDArray[np.float32]

    def wavelengths(self, box: Box) -> NDArray[np.float64]:
        """Return the wavelength in µm at every pixel of a full-frame box."""
        return interpolate(self.x - 1.0, self.y - 1.0, self.values[..., 0], box)

    def wavelengths_at(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the wavelength in µm at 0-based full-frame positions."""
        i, right = _weights(x, self.x - 1.0)
        j, upper = _weights(y, self.y - 1.0)
        v = self.values[..., 0].astype(float)
        low = v[j, i] * (1 - right) + v[j, i + 1] * right
        high = v[j + 1, i] * (1 - right) + v[j + 1, i + 1] * right
        return low * (1 - upper) + high * upper


def wavelength_model(detector: int, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """Return the wavelength in µm at 0-based full-frame pixels of a detector."""
    coefficients = _model()["detectors"][str(detector)]["log_wavelength"]
    wavelength: NDArray[np.float64] = np.exp(polynomial.polyval(_unit_channel(x, y), coefficients))
    return wavelength


def bandwidth_model(detector: int, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """Return the bandwidth in µm, the wavelength over the resolving power, at the same pixels."""
    coefficients = _model()["detectors"][str(detector)]["resolving_power"]
    resolving_power: NDArray[np.float64] = polynomial.polyval(_unit_channel(x, y), coefficients)
    return wavelength_model(detector, x, y) / resolving_power


def wavelength_grid(detector: int, shape: tuple[int, int]) -> WavelengthGrid:
    """Return the control points of a detector.

    Parameters
    ----------
    detector
        1 to 6.
    shape
        Number of control points (nx, ny), evenly spaced to the nearest pixel.
    """
    x, y = (np.round(np.linspace(1, _SIDE, n)).astype(np.int32) for n in shape)
    columns, rows = np.meshgrid(x - 1.0, y - 1.0)
    models = wavelength_model(detector, columns, rows), bandwidth_model(detector, columns, rows)
    return WavelengthGrid(x, y, np.stack(models, axis=-1).astype(np.float32))


def interpolate(
    x: NDArray[np.floating], y: NDArray[np.floating], values: NDArray[np.floating], box: Box
) -> NDArray[np.float64]:
    """Return grid values, linear between the points, at every pixel of a box.

    A pixel's result does not depend on the box, which a matrix product would
    not promise to the last bit.
    """
    across = np.arange(box.x_min, box.x_max, dtype=float)
    rows = np.stack([np.interp(across, x, row) for row in values.astype(float)])
    index, upper = _weights(np.arange(box.y_min, box.y_max, dtype=float), y)
    weight = upper[:, np.newaxis]
    return rows[index] * (1 - weight) + rows[index + 1] * weight


def _weights(
    position: NDArray[np.float64], points: NDArray[np.floating]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    index = np.clip(np.searchsorted(points, position, side="right") - 1, 0, len(points) - 2)
    return index, (position - points[index]) / (points[index + 1] - points[index])


def _unit_channel(x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """Return the channel coordinate, -1 where channel 1 begins and 1 where channel 17 ends."""
    model = _model()
    t = (np.asarray(x, dtype=float) - 1019.5) / 1020
    channel = (polynomial.polyval(t, model["contour"]) - np.asarray(y)) / model["pitch"]
    unit: NDArray[np.float64] = (channel - 8.5) / 8.5
    return unit


@lru_cache
def _model() -> dict[str, Any]:
    text = (files(__package__) / "data" / "wavelength_model.json").read_text(encoding="utf-8")
    model: dict[str, Any] = json.loads(text)
    return model
