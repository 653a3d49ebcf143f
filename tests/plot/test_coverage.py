"""The picture of the sky has each position at its place, in every frame, with the number of images as its colour."""

from __future__ import annotations

import astropy.units as u
import hpgeom
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from matplotlib import pyplot as plt
from matplotlib.colors import BoundaryNorm, LogNorm, Normalize
from matplotlib.figure import Figure

from spherex_butler.errors import ParameterError
from spherex_butler.plot import plot_coverage
from spherex_butler.search import Coverage

ORDER = 5
POLE = SkyCoord(270, 66.56071, unit="deg")  # of the ecliptic, J2000
POLLUX = SkyCoord(116.329, 28.026, unit="deg")
"""At ecliptic longitude 113.2, latitude 6.7 (J2000), and Galactic longitude 192.2, latitude 23.4."""


def counted(depth: int = 1, *positions: SkyCoord, radius: u.Quantity = 4 * u.deg) -> Coverage:
    """Return a map of the sky in which circles around positions were seen."""
    found = np.zeros(12 * 4**ORDER, np.int32)
    for position in positions or [POLE]:
        found[hpgeom.query_circle(1 << ORDER, position.ra.deg, position.dec.deg, radius.to_value(u.deg))] = depth
    return Coverage(ORDER, found, {(3, 9): found // 2}, 1234)


def sky_axes():
    return Figure(figsize=(8, 4)).add_subplot(projection="mollweide")


def depth_at(ax, longitude: float, latitude: float) -> float:
    """Return what is drawn at a longitude, which grows to the left, and latitude; 0 where nothing is."""
    (image,) = ax.images
    x, y = ax.transProjection.transform(np.radians([(-(((longitude + 180) % 360) - 180), latitude)]))[0]
    left, right, bottom, top = image.get_extent()
    rows, columns = image.get_array().shape
    row, column = int((y - bottom) / (top - bottom) * rows), int((x - left) / (right - left) * columns)
    return float(image.get_array().filled(0)[row, column])


@pytest.mark.parametrize(
    ("frame", "pole", "pollux"),
    [
        ("ecliptic", (123, 89), (113.2, 6.7)),
        ("icrs", (270, 66.6), (116.3, 28.0)),
        ("equatorial", (270, 66.6), (116.3, 28.0)),
        ("galactic", (96.4, 29.8), (192.2, 23.4)),
    ],
)
def test_known_positions_are_at_their_places(frame, pole, pollux):
    ax = plot_coverage(counted(7, POLE, POLLUX), frame=frame, ax=sky_axes())
    for longitude, latitude in (pole, pollux):
        assert depth_at(ax, longitude, latitude) == 7
        assert depth_at(ax, longitude, -latitude) == 0
    assert depth_at(ax, 360 - pollux[0], pollux[1]) == 0


def test_longitude_grows_to_the_left_and_latitude_upwards():
    ax = plot_coverage(counted(1), ax=sky_axes(), mark=SkyCoord([10, 350], [20, -20], unit="deg"), frame="icrs")
    (mark,) = (line for line in ax.lines if line.get_label() == "mark")
    (first_x, first_y), (second_x, second_y) = ax.transData.transform(mark.get_xydata())
    assert first_x < second_x
    assert first_y > second_y
    labels = {text.get_text(): text.get_position()[0] for text in ax.get_xticklabels()}
    assert labels["30°"] == pytest.approx(np.radians(-30))
    assert labels["330°"] == pytest.approx(np.radians(30))


def test_mark_is_where_the_map_has_it():
    ax = plot_coverage(counted(3, POLLUX), ax=sky_axes(), mark=POLLUX)
    (mark,) = (line for line in ax.lines if line.get_label() == "mark")
    longitude, latitude = np.degrees(mark.get_xydata()[0])
    assert (-longitude, latitude) == pytest.approx((113.2, 6.7), abs=0.1)
    assert depth_at(ax, -longitude, latitude) == 3


def test_image_fills_the_ellipse_and_nothing_else():
    ax = plot_coverage(Coverage(0, np.full(12, 5, np.int32), {}, 5), ax=sky_axes())
    array = ax.images[0].get_array()
    rows = len(array)
    assert (~array.mask).mean() == pytest.approx(np.pi / 4, abs=2e-3)
    assert array.mask[0, 0]
    assert not array.mask[rows // 2, 1]
    corners = (ax.transAffine + ax.transAxes).transform([(-2 * 2**0.5, 0), (2 * 2**0.5, 2**0.5)])
    assert corners.ravel() == pytest.approx([ax.bbox.x0, (ax.bbox.y0 + ax.bbox.y1) / 2, ax.bbox.x1, ax.bbox.y1])


def test_channel_is_drawn_and_named():
    ax = plot_coverage(counted(8), channel=(3, 9), ax=sky_axes())
    assert depth_at(ax, 0, 89) == 4
    assert ax.get_title().startswith("0.1% of the sky seen in channel 9 of D3, 1,234 images; ecliptic")


def test_small_numbers_have_a_colour_each():
    ax = plot_coverage(counted(3), ax=sky_axes())
    norm, bar = ax.images[0].norm, ax.images[0].colorbar
    assert isinstance(norm, BoundaryNorm)
    assert len(set(norm([1, 2, 3]))) == 3
    assert list(bar.get_ticks()) == [1, 2, 3]


def test_large_numbers_are_logarithmic_with_whole_numbers_beside():
    found = counted(24_103)
    found.depth[:5000] = np.maximum(found.depth[:5000], 300)
    ax = plot_coverage(found, ax=sky_axes())
    norm, bar = ax.images[0].norm, ax.images[0].colorbar
    assert isinstance(norm, LogNorm)
    assert (norm.vmin, norm.vmax) == (300, 24_103)
    ax.figure.canvas.draw()
    shown = [text.get_text() for text in bar.ax.get_xticklabels() if text.get_text()]
    assert {"500", "1,000", "10,000"} <= set(shown)


@pytest.mark.parametrize("depth", [0, 1, 13, 1_000_000])
def test_any_depth_is_drawn(depth):
    ax = plot_coverage(counted(depth), ax=sky_axes())
    ax.figure.canvas.draw()
    assert depth_at(ax, 0, 89) == depth


def test_norm_of_the_caller_is_taken():
    norm = Normalize(0, 10)
    assert plot_coverage(counted(3), ax=sky_axes(), norm=norm).images[0].norm is norm


def test_new_figure_is_made_only_without_axes():
    plot_coverage(counted(), ax=sky_axes())
    assert plt.get_fignums() == []
    assert plot_coverage(counted()).name == "mollweide"
    assert len(plt.get_fignums()) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frame": "ecliptik"}, "frame='ecliptik' is not known; did you mean 'ecliptic'"),
        ({"channel": (1, 1)}, r"channel=\(1, 1\) is not in this coverage"),
        ({"ax": Figure().add_subplot()}, r"projection 'rectilinear'; expected plt.subplot\(projection='mollweide'\)"),
        ({"ax": 5}, "ax is a int; expected the Axes"),
        ({"mark": 5}, "mark=5 is no position"),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        plot_coverage(counted(), **options)


def test_other_things_are_refused():
    with pytest.raises(
        ParameterError, match=r"This is a ndarray; expected what spherex_butler.search.coverage returns"
    ):
        plot_coverage(np.zeros(12))
