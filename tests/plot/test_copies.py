"""Figures can be pickled for other processes, and copied."""

from __future__ import annotations

import pickle

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from astropy.time import Time
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from spherex_butler.plot import plot_coverage, plot_cutouts, plot_image, plot_sampling, plot_spectrum
from spherex_butler.search import Coverage

TABLE = QTable(
    {
        "detector": [3, 3],
        "wavelength": [2.0, 2.1] * u.um,
        "bandwidth": [0.05, 0.05] * u.um,
        "flux": [1.0, 2.0] * u.mJy,
        "flux_error": [0.1, 0.1] * u.mJy,
        "masked_fraction": [0.0, 0.9],
        "time": Time(["2025-05-05", "2025-05-06"]),
    }
)


def drawn(figure: Figure) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba()).copy()


def assert_same_when_pickled(figure: Figure) -> None:
    expected = drawn(figure)
    assert (drawn(pickle.loads(pickle.dumps(figure))) == expected).all()


@pytest.mark.parametrize("stretch", ["asinh", "linear", "log", "sqrt"])
def test_image(image, stretch):
    figure = Figure(figsize=(4, 4))
    middle = image.wcs.pixel_to_world(30, 30)
    plot_image(image, ax=figure.add_subplot(), stretch=stretch, flags="all", mark=middle)
    assert_same_when_pickled(figure)


def test_image_on_the_sky(image):
    figure = Figure(figsize=(4, 4))
    plot_image(image, ax=figure.add_subplot(projection=image.wcs))
    assert pickle.dumps(figure)  # which astropy's axes cannot be read from: their frame's class wants arguments


def test_cutouts(image):
    figure = Figure(figsize=(4, 4))
    plot_cutouts([image[:20, :20], image[20:40, :20]], ax=list(figure.subplots(1, 2)))
    assert_same_when_pickled(figure)


@pytest.mark.parametrize("plot", [plot_sampling, plot_spectrum])
def test_tables(plot):
    figure = Figure(figsize=(4, 4))
    plot(TABLE, ax=figure.add_subplot())
    assert_same_when_pickled(figure)


@pytest.mark.parametrize("depth", [3, 30_000])
def test_map_of_the_sky(depth):
    figure = Figure(figsize=(4, 4))
    seen = np.zeros(12 * 4**3, np.int32)
    seen[5:90] = depth
    plot_coverage(
        Coverage(3, seen, {}, 1), ax=figure.add_subplot(projection="mollweide"), mark=SkyCoord(1, 2, unit="deg")
    )
    assert_same_when_pickled(figure)
