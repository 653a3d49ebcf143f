"""The picture of an image shows its pixels at their places, the flags that mask, its channels, and the sky."""

from __future__ import annotations

import subprocess
import sys

import astropy.units as u
import matplotlib as mpl
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.nddata import CCDData
from astropy.visualization.wcsaxes import WCSAxes
from astropy.wcs import WCS
from matplotlib import pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm, to_rgb
from matplotlib.figure import Figure

from spherex_butler import SpectralImage
from spherex_butler.errors import ParameterError, SpherexButlerWarning
from spherex_butler.images.channels import channel_edges
from spherex_butler.plot import plot_image
from spherex_butler.plot.colors import LAYERS, NO_VALUE
from spherex_butler.testing import make_spectral_image


def plain_axes(width: float = 6, height: float = 6):
    return Figure(figsize=(width, height), layout="constrained").add_subplot()


def legend(ax) -> dict[str, tuple[float, ...]]:
    """Return the names in the legend of axes and their colours."""
    handles = ax.get_legend().get_patches()
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    return {name.rpartition(" ")[0]: patch.get_facecolor() for name, patch in zip(names, handles, strict=False)}


def seen_at(ax, x: float, y: float) -> tuple[int, ...]:
    """Return the colour, of 255, of a drawn figure where axes have a pixel."""
    canvas = FigureCanvasAgg(ax.figure)
    canvas.draw()
    column, row = ax.transData.transform((x, y))
    picture = np.asarray(canvas.buffer_rgba())
    return tuple(picture[picture.shape[0] - 1 - int(row), int(column), :3].tolist())


def of_255(color: object) -> tuple[int, ...]:
    return tuple(round(255 * part) for part in to_rgb(color))


def test_pixels_are_those_of_the_image_with_the_first_row_below(image):
    ax = plot_image(image, ax=plain_axes(), flags=False)
    np.testing.assert_array_equal(ax.images[0].get_array(), image.data)
    assert tuple(ax.images[0].get_extent()) == (-0.5, 63.5, -0.5, 63.5)
    y, x = np.unravel_index(np.argmax(image.data), image.shape)
    assert seen_at(ax, x, y) == (255, 255, 255)


def test_colour_bar_and_title_say_what_it_is(image):
    ax = plot_image(image, ax=plain_axes())
    assert ax.images[0].colorbar.ax.get_ylabel() == "surface brightness [MJy / sr]"
    low, high = image.wavelength.value.min(), image.wavelength.value.max()
    assert ax.get_title() == f"2025W51_1A_0684_2 D3, {low:.3f} to {high:.3f} µm"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x [pixel]", "y [pixel]")


@pytest.mark.parametrize(
    ("plane", "unit"),
    [("zodi", u.MJy / u.sr), ("variance", (u.MJy / u.sr) ** 2), ("error", u.MJy / u.sr), ("bandwidth", u.um)],
)
def test_other_planes_are_drawn_with_their_units(image, plane, unit):
    ax = plot_image(image, plane=plane, ax=plain_axes())
    expected = getattr(image, plane)
    np.testing.assert_array_equal(ax.images[0].get_array(), getattr(expected, "value", expected))
    assert u.Unit(ax.images[0].colorbar.ax.get_ylabel().partition("[")[2].rstrip("]")) == unit


def test_figure_of_its_own_has_the_sky_in_degrees(image):
    ax = plot_image(image)
    assert isinstance(ax, WCSAxes)
    assert ax.figure.number in plt.get_fignums()
    assert [coordinate.get_axislabel() for coordinate in ax.coords] == ["right ascension [deg]", "declination [deg]"]
    ax.figure.canvas.draw()
    shown = [float(text) for text in ax.coords[1]._ticklabels.text["l"]]
    corners = image.footprint.dec.deg
    assert shown
    assert all(corners.min() <= degrees <= corners.max() for degrees in shown)


def test_pyplot_is_left_alone_by_given_axes(image):
    before = plt.get_fignums(), mpl.get_backend()
    plot_image(image, ax=plain_axes(), mark=image.wcs.pixel_to_world(3, 4))
    assert (plt.get_fignums(), mpl.get_backend()) == before


def test_pyplot_is_not_even_loaded_for_given_axes():
    script = """
import sys
from matplotlib.figure import Figure
from spherex_butler.plot import plot_image
from spherex_butler.testing import make_spectral_image
plot_image(make_spectral_image(size=16), ax=Figure().add_subplot())
print("matplotlib.pyplot" in sys.modules, "lsst.daf.butler" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


# Flags.


def test_flags_that_mask_are_named_and_harmless_ones_are_not(image):
    named = legend(plot_image(image, ax=plain_axes()))
    present = {name for name, bit in image.flag_definitions.items() if (image.flags >> bit & 1).any()}
    assert {"SOURCE", "OUTLIER"} <= present
    assert set(named) - {"channels"} == present - {"SOURCE", "OUTLIER", "OVERFLOW", "FULLSAMPLE"}


def test_overlay_covers_the_masked_pixels_and_no_others(image):
    ax = plot_image(image, ax=plain_axes())
    np.testing.assert_array_equal(ax.images[1].get_array()[..., 3] > 0, image.mask)


def test_flag_is_drawn_in_the_colour_of_its_legend(image):
    image.flags = np.zeros_like(image.flags)
    image.flags[20:30, 40:50] = 1 << image.flag_definitions["HOT"]
    ax = plot_image(image, ax=plain_axes(), channels=False)
    assert legend(ax)["HOT"][:3] in {to_rgb(color) for color in LAYERS}
    assert seen_at(ax, 45, 25) == of_255(legend(ax)["HOT"])
    assert "HOT 2.4\N{NARROW NO-BREAK SPACE}%" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_usual_flags_have_the_same_colour_in_every_picture_and_no_two_share_one(image):
    every, part = (legend(plot_image(one, ax=plain_axes(), channels=False, flags="all")) for one in (image, image[:9]))
    assert len({color[:3] for color in every.values()}) == len(every)
    assert part["TRANSIENT"] == every["TRANSIENT"]
    few = image.copy()
    few.flags = few.flags & (1 << few.flag_definitions["COLD"])
    assert legend(plot_image(few, ax=plain_axes(), channels=False)) == {"COLD": every["COLD"]}


def test_harmless_flags_are_drawn_when_asked_for_and_the_image_shines_through(image):
    ax = plot_image(image, ax=plain_axes(), flags="all")
    assert {"SOURCE", "OUTLIER", "TRANSIENT"} <= set(legend(ax))
    assert 0 < legend(ax)["SOURCE"][3] < 1 == legend(ax)["TRANSIENT"][3]
    only = legend(plot_image(image, ax=plain_axes(), flags="SOURCE"))
    assert set(only) - {"channels"} == {"SOURCE"}


def test_rarest_flag_of_a_pixel_is_drawn(image):
    bits = image.flag_definitions
    image.flags = np.zeros_like(image.flags)
    image.flags[:, :10] |= 1 << bits["NONFUNC"]
    image.flags[5, :10] |= 1 << bits["COLD"]
    ax = plot_image(image, ax=plain_axes())
    first, second = (np.multiply(255, legend(ax)[name]).astype(np.uint8) for name in ("NONFUNC", "COLD"))
    np.testing.assert_array_equal(ax.images[1].get_array()[5, 3], second)
    np.testing.assert_array_equal(ax.images[1].get_array()[6, 3], first)


def test_flags_for_which_no_colour_is_left_share_one(image):
    names = [name for name in image.flag_definitions if name in image.bad_flags][: len(LAYERS) + 3]
    image.flags = np.zeros_like(image.flags)
    for number, name in enumerate(names):
        image.flags[number, : 60 - number] = 1 << image.flag_definitions[name]
    named = legend(plot_image(image, ax=plain_axes(), channels=False))
    assert [*named] == [*names[: len(LAYERS)], "3 others"]


def test_chosen_bad_flags_and_assigned_masks_are_what_masks(image):
    strict = image.with_mask(bad=["SOURCE"])
    assert strict.bad_flags == ("SOURCE",)
    assert set(legend(plot_image(strict, ax=plain_axes(), channels=False))) == {"SOURCE"}
    image.mask = np.arange(64 * 64).reshape(64, 64) < 640
    ax = plot_image(image, ax=plain_axes())
    assert "masked" in legend(ax)
    np.testing.assert_array_equal(ax.images[1].get_array()[..., 3] > 0, image.mask)


def test_structure_is_seen_at_real_size_and_a_single_pixel_is_no_blot():
    image = SpectralImage(np.zeros((2040, 2040), np.float32), unit="MJy/sr", mask=np.zeros((2040, 2040), bool))
    image.mask[:100] = True
    image.mask[1000, 1000] = True
    ax = plot_image(image, ax=plain_axes())
    assert seen_at(ax, 1000, 50) == of_255(LAYERS[0])
    gray = seen_at(ax, 500, 1000)
    assert max(abs(np.subtract(seen_at(ax, 1000, 1000), gray))) < 60


# Stretches.


def test_wild_pixels_and_nan_leave_the_range_alone(image):
    expected = plot_image(image, ax=plain_axes()).images[0].norm
    image.data[1:2, 1:5] = np.nan, np.inf, -np.inf, 1e30
    ax = plot_image(image, ax=plain_axes())
    assert ax.images[0].norm.vmin == pytest.approx(expected.vmin, rel=0.02)
    assert ax.images[0].norm.vmax == pytest.approx(expected.vmax, rel=0.05)
    assert "NaN" in legend(ax)
    assert seen_at(ax, 1, 1) == of_255(NO_VALUE)


def test_faint_source_is_seen_beside_a_bright_one():
    data = np.random.default_rng(1).normal(0.1, 0.01, (200, 200))
    data[50:53, 50:53] += 0.06
    data[100:110, 100:110] += 100
    norm = plot_image(SpectralImage(data, unit="MJy/sr"), ax=plain_axes()).images[0].norm
    assert norm(0.16) - norm(0.1) > 0.2
    assert norm(0.11) - norm(0.1) < norm(0.16) - norm(0.1)


@pytest.mark.parametrize("stretch", ["asinh", "linear", "log", "sqrt"])
def test_brightness_grows_with_the_value_and_ticks_with_the_bar(image, stretch):
    image.data[:] -= 0.09  # some of it negative
    ax = plot_image(image, ax=plain_axes(), stretch=stretch)
    norm = ax.images[0].norm
    values = np.linspace(norm.vmin, norm.vmax, 50)
    assert (np.diff(norm(values)) > 0).all()
    assert (norm(norm.vmin), norm(norm.vmax)) == (0, pytest.approx(1))
    assert norm(-1.0) == 0
    ticks = ax.images[0].colorbar.get_ticks()
    assert (np.diff(ticks) > 0).all()


def test_ticks_of_the_default_stretch_do_not_crowd(image):
    bar = plot_image(image, ax=plain_axes()).images[0].colorbar
    places = bar.norm(bar.get_ticks())
    assert 4 <= len(places) <= 8
    assert np.diff(places).min() > 0.08


def test_limits_and_norms_are_taken(image):
    norm = plot_image(image, ax=plain_axes(), limits=(0, 2)).images[0].norm
    assert (norm.vmin, norm.vmax) == (0, 2)
    norm = plot_image(image, ax=plain_axes(), limits=(1, 500) * u.kJy / u.sr, stretch="linear").images[0].norm
    assert (norm.vmin, norm.vmax) == pytest.approx((0.001, 0.5))
    own = LogNorm(0.01, 3)
    assert plot_image(image, ax=plain_axes(), stretch=own).images[0].norm is own


# Wavelengths and the sky.


def contours(ax):
    return [found for found in ax.collections if hasattr(found, "levels")]


def test_lines_are_where_channels_meet():
    image = make_spectral_image(detector=3, size=400, origin=(0, 600))
    ax = plot_image(image, ax=plain_axes())
    (lines,) = contours(ax)
    wavelength = image.wavelength.value
    edges = channel_edges(3)
    inside = edges[(edges > wavelength.min()) & (edges < wavelength.max())]
    assert len(inside) >= 3
    np.testing.assert_allclose(lines.levels, inside)
    for level, path in zip(lines.levels, lines.get_paths(), strict=True):
        x, y = path.vertices[len(path.vertices) // 2]
        assert image.wavelength_at(x, y).value == pytest.approx(level, abs=2e-4)


def test_lines_are_left_out_where_there_are_none(image):
    assert contours(plot_image(image, ax=plain_axes(), channels=False)) == []
    assert contours(plot_image(SpectralImage(image.data, unit="Jy"), ax=plain_axes())) == []
    assert contours(plot_image(image[:2, :2], ax=plain_axes())) == []


def test_lines_of_no_known_detector_are_at_round_wavelengths(image):
    del image.meta["DETECTOR"]
    (lines,) = contours(plot_image(image, ax=plain_axes()))
    np.testing.assert_allclose(lines.levels, np.round(lines.levels, 3), atol=1e-9)


@pytest.mark.parametrize("detector", [1, 6])
def test_arrows_point_to_north_and_east(detector):
    image = make_spectral_image(detector=detector, size=64)
    ax = plot_image(image, ax=plain_axes())
    arrows = {text.get_text(): np.array(text.get_position()) for text in ax.texts if text.get_text() in {"N", "E"}}
    here = image.wcs.pixel_to_world(31.5, 31.5)
    for name, angle in (("N", 0), ("E", 90)):
        there = here.directional_offset_by(angle * u.deg, 20 * u.arcsec)
        expected = np.array(image.wcs.world_to_pixel(there)) - 31.5
        cosine = expected @ arrows[name] / np.linalg.norm(expected) / np.linalg.norm(arrows[name])
        assert cosine > 0.9999


def test_mark_is_at_its_position_and_changes_no_limits(image):
    positions = image.wcs.pixel_to_world([10, 50.25, 900], [20, 3.5, 900])
    ax = plot_image(image, ax=plain_axes(), mark=positions)
    (mark,) = (line for line in ax.lines if line.get_label() == "mark")
    np.testing.assert_allclose(mark.get_xydata(), [(10, 20), (50.25, 3.5)], atol=1e-3)
    assert ax.get_xlim() == (-0.5, 63.5)


def test_axes_of_the_image_itself_are_taken(image):
    given = Figure().add_subplot(projection=image.wcs)
    assert plot_image(image, ax=given) is given


# What is hard.


def test_image_without_any_value_is_drawn_as_such(image):
    image.data[:] = np.nan
    ax = plot_image(image, ax=plain_axes(), flags=False, channels=False)
    assert "NaN 100\N{NARROW NO-BREAK SPACE}%" in [text.get_text() for text in ax.get_legend().get_texts()]
    assert seen_at(ax, 30, 30) == of_255(NO_VALUE)


@pytest.mark.parametrize("part", [np.s_[3:4, 3:4], np.s_[3:4], np.s_[:, 3:4]])
def test_smallest_images_are_drawn(image, part):
    ax = plot_image(image[part])
    ax.figure.canvas.draw()
    np.testing.assert_array_equal(ax.images[0].get_array(), image.data[part])


def test_bare_images_and_other_ccddata_are_drawn():
    values = np.arange(30.0).reshape(5, 6)
    for made in (SpectralImage(values), CCDData(values, unit="electron/s", mask=values < 3)):
        ax = plot_image(made)
        assert not isinstance(ax, WCSAxes)
        np.testing.assert_array_equal(ax.images[0].get_array(), values)
    assert ax.images[0].colorbar.ax.get_ylabel() == "image [e⁻ / s]"
    assert set(legend(ax)) == {"masked"}


def test_constant_image_is_neither_black_nor_white():
    ax = plot_image(SpectralImage(np.full((5, 6), 3.0), unit="Jy"), ax=plain_axes())
    assert 0.2 < ax.images[0].norm(3.0) < 0.9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"plane": []}, r"plane=\[\] is not known.* Expected one of image, zodi"),
        ({"plane": "wavelenght"}, "plane='wavelenght' is not known; did you mean 'wavelength'"),
        ({"stretch": "asin"}, "stretch='asin' is not known; did you mean 'asinh'"),
        ({"limits": (1, 0)}, "are not in order; expected the lower one first"),
        ({"limits": (1, 2) * u.um}, "no two numbers.*not convertible"),
        ({"limits": 3}, "no two numbers"),
        ({"limits": (-1, 2), "stretch": "log"}, "lower limit is -1; expected one above zero"),
        ({"flags": "SOURC"}, "There is no flag 'SOURC'; this image defines"),
        ({"flags": 5}, "flags=5 is not understood; expected True"),
        ({"mark": (3, 4)}, "mark=.* is no position on the sky; expected a SkyCoord"),
        ({"mark": SkyCoord(0, 0, unit="deg")}, "RA, Dec 0.00000 0.00000. is outside the image of 64 x 64 pixels"),
        ({"mark": SkyCoord([], [], unit="deg")}, "of no position"),
    ],
)
def test_wrong_arguments_are_refused(image, options, message):
    with pytest.raises(ParameterError, match=message):
        plot_image(image, ax=plain_axes(), **options)


def test_what_is_not_there_cannot_be_drawn(image):
    bare = SpectralImage(np.ones((5, 6)), unit="Jy")
    for options, message in (
        ({"plane": "zodi"}, "no ZODI"),
        ({"channels": True}, "no WCS-WAVE"),
        ({"flags": ["HOT"]}, "no FLAGS"),
        ({"mark": image.wcs.pixel_to_world(1, 1)}, "needs an image with a celestial WCS"),
    ):
        with pytest.raises(ParameterError, match=message):
            plot_image(bare, ax=plain_axes(), **options)
    with pytest.raises(ParameterError, match="needs pixels above zero"):
        plot_image(SpectralImage(-np.ones((5, 6))), ax=plain_axes(), stretch="log")


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (np.zeros((3, 3)), "The image is a ndarray; expected a SpectralImage"),
        (CCDData(np.zeros((2, 3, 3)), unit="Jy"), r"CCDData of shape \(2, 3, 3\)"),
    ],
)
def test_other_things_are_refused(thing, message):
    with pytest.raises(ParameterError, match=message):
        plot_image(thing, ax=plain_axes())


def test_axes_in_which_it_would_be_wrong_are_refused(image):
    figure = Figure()
    for ax, message in (
        (figure, "ax is a Figure; expected the Axes"),
        (figure.add_subplot(projection="polar"), "of the projection 'polar'"),
        (figure.add_subplot(projection="3d"), "of the projection '3d'"),
        (figure.add_subplot(projection=image[2:, 2:].wcs), "ax has another WCS than the image"),
    ):
        with pytest.raises(ParameterError, match=message):
            plot_image(image, ax=ax)
    with pytest.raises(ParameterError, match="ax has another WCS"):
        plot_image(SpectralImage(image.data), ax=figure.add_subplot(projection=image.wcs))


def test_library_that_is_missing_is_named(run_python):
    script = """
import sys
sys.modules["matplotlib"] = None
from spherex_butler import SpectralImage
try:
    import spherex_butler.plot
except ModuleNotFoundError as error:
    print(error)
"""
    assert "matplotlib, which is not installed: pip install 'spherex-butler[plot]'" in run_python(script)


def test_units_are_written_as_people_read_them(image):
    for plane, unit in {"variance": "MJy² / sr²", "wavelength": "µm"}.items():
        ax = plot_image(image, plane=plane, ax=plain_axes())
        assert ax.images[0].colorbar.ax.get_ylabel() == f"{plane} [{unit}]"


def with_cards(image, **cards) -> SpectralImage:
    header = image.header.copy()
    header.update(cards)
    return SpectralImage(image.data, unit=image.unit, header=header)


BROKEN = [
    ({"CDELT1": 0.0}, "Linear transformation matrix is singular"),
    ({"CTYPE1": "RA---XXX", "CTYPE2": "DEC--XXX"}, "Unrecognized projection code"),
    ({"CRVAL1": "x"}, "could not convert string to float: 'x'"),
    ({"A_ORDER": 99}, "The header has A_ORDER=99; expected a number up to 9"),
    ({"A_2_0": 1e9}, "its WCS leads from the pixel in the middle to .* and from there not back"),
]


@pytest.mark.parametrize(("cards", "reason"), BROKEN)
def test_image_with_a_broken_wcs_is_drawn_in_pixels_with_a_warning(image, cards, reason):
    with pytest.warns(SpherexButlerWarning, match=f"has pixels in place of the sky, because .*{reason}"):
        ax = plot_image(with_cards(image, **cards), flags=False)
    ax.figure.canvas.draw()
    assert not isinstance(ax, WCSAxes)
    assert ax.get_xlabel() == "x [pixel]"
    np.testing.assert_array_equal(ax.images[0].get_array(), image.data)


def test_broken_wcs_that_was_assigned_is_told_as_well():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.cdelt = 0, 0
    with pytest.warns(SpherexButlerWarning, match=r"of an image has .* its WCS cannot be used: .*singular"):
        plot_image(CCDData(np.ones((5, 6)), unit="Jy", wcs=wcs))
