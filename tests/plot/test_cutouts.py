"""The picture of cutouts has them in order of wavelength on one scale, and says which failed and why."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from spherex_butler import SpectralImage
from spherex_butler.errors import ParameterError, SpherexButlerWarning
from spherex_butler.plot import plot_cutouts
from spherex_butler.search import Cutouts, FailedCutout

FAILED = FailedCutout(
    2, "dataset 4f0c at RA 10, Dec 40", "The server said no to https://user:secret@example.org/file.fits."
)


@pytest.fixture
def cutouts(image) -> list[SpectralImage]:
    """Cutouts that are not in order of wavelength, which falls with y."""
    return [image[y : y + 12, 10:22] for y in (20, 50, 0)]


def grid(rows: int, columns: int):
    return Figure(figsize=(9, 4)).subplots(rows, columns)


def test_cutouts_are_in_order_of_wavelength(cutouts):
    axes = plot_cutouts(cutouts, ax=grid(1, 3))
    for ax, cutout in zip(axes, [cutouts[1], cutouts[0], cutouts[2]], strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), cutout.data)
        assert ax.get_title() == f"{cutout.wavelength_at(5.5, 5.5).value:.3f} µm"
        assert ax.images[0].get_extent()[2:] == [-0.5, 11.5]


def test_scale_and_colour_bar_are_common(cutouts):
    cutouts[1].data[:] *= 3
    axes = plot_cutouts(cutouts, ax=grid(1, 3))
    norms = [ax.images[0].norm for ax in axes]
    assert norms[0] is norms[1] is norms[2]
    assert norms[0].vmin < np.median(cutouts[0].data)
    assert norms[0].vmax > np.median(cutouts[1].data)
    assert axes[0].images[0].colorbar.ax.get_ylabel() == "surface brightness\n[MJy / sr]"


def test_units_are_brought_to_one(cutouts):
    other = cutouts[2].convert_unit_to("kJy / sr")
    axes = plot_cutouts([cutouts[0], other], ax=grid(1, 2))
    np.testing.assert_allclose(axes[1].images[0].get_array(), cutouts[2].data, rtol=1e-5)


def test_what_failed_comes_last_with_its_reason_without_passwords(cutouts):
    found = Cutouts()
    found.begin(["one", "two", "three", "four"])
    for row, cutout in zip((0, 1, 3), cutouts, strict=True):
        found.add([row], cutout)
    found.fail(FAILED)
    axes = plot_cutouts(found, ax=grid(2, 2))
    assert [bool(ax.images) for ax in axes] == [True, True, True, False]
    assert axes[3].get_title() == "row 2 failed"
    (text,) = axes[3].texts
    assert "Theserversaidno" in "".join(text.get_text().split())
    assert "secret" not in "".join(text.get_text().split())


def test_only_failed_ones_are_drawn_as_such():
    (ax,) = plot_cutouts([FAILED], ax=grid(1, 1))
    assert (ax.get_title(), len(ax.images)) == ("row 2 failed", 0)


def test_flags_have_the_same_colour_in_all(cutouts):
    bits = cutouts[0].flag_definitions
    for number, cutout in enumerate(cutouts):
        cutout.flags = np.zeros_like(cutout.flags)
        cutout.flags[0, : number + 1] = 1 << bits["HOT"]
        cutout.flags[1, : 3 - 2 * (number == 2)] = 1 << bits["COLD"]
    axes = plot_cutouts(cutouts, ax=grid(1, 3))
    for row in (0, 1):
        assert len({tuple(ax.images[1].get_array()[row, 0]) for ax in axes}) == 1
    (legend,) = axes[0].figure.legends
    assert [text.get_text().split()[0] for text in legend.get_texts()] == ["COLD", "HOT"]


def test_mark_is_drawn_where_it_is_and_gives_the_wavelength(image, cutouts):
    mark = image.wcs.pixel_to_world(15, 25)  # in the first alone
    axes = plot_cutouts(cutouts, ax=grid(1, 3), mark=mark)
    marks = [[line for line in ax.lines if line.get_label() == "mark"] for ax in axes]
    assert [len(found) for found in marks] == [0, 1, 0]
    np.testing.assert_allclose(marks[1][0].get_xydata(), [(5, 5)], atol=1e-3)
    assert axes[1].get_title() == f"{image.wavelength_at(15, 25).value:.3f} µm"


def test_images_without_wavelengths_stand_behind_those_with(image, cutouts):
    bare = SpectralImage(image.data[:5, :5], unit=image.unit)
    axes = plot_cutouts([bare, cutouts[0]], ax=grid(1, 2))
    np.testing.assert_array_equal(axes[1].images[0].get_array(), bare.data)


def test_new_figure_has_rows_of_so_many_columns(cutouts):
    axes = plot_cutouts([*cutouts, FAILED], columns=3)
    assert axes[0].figure.number in plt.get_fignums()
    places = [ax.get_subplotspec() for ax in axes]
    assert [(place.rowspan.start, place.colspan.start) for place in places] == [(0, 0), (0, 1), (0, 2), (1, 0)]


def test_pyplot_is_left_alone_by_given_axes(cutouts):
    before = plt.get_fignums(), mpl.get_backend()
    plot_cutouts(cutouts[0:1], ax=Figure().add_subplot())
    assert (plt.get_fignums(), mpl.get_backend()) == before


@pytest.mark.parametrize(
    ("chosen", "options", "message"),
    [
        ([], {}, "There are no cutouts"),
        ([0] * 121, {}, r"There are 121 cutouts; expected at most 120, such as cutouts\[:120\]"),
        ([0, 1], {"columns": 0}, "columns=0 is not possible"),
        ([0, 1], {"mark": (1, 2)}, "no position on the sky"),
        ([0, 1], {"ax": Figure()}, "ax is a Figure; expected the Axes"),
        ([0, 1], {"ax": Figure().add_subplot()}, "ax has 1 axes for 2 cutouts"),
    ],
)
def test_wrong_arguments_are_refused(cutouts, chosen, options, message):
    with pytest.raises(ParameterError, match=message):
        plot_cutouts([cutouts[number] for number in chosen], **options)


def test_what_cannot_stand_side_by_side_is_refused(cutouts):
    with pytest.raises(ParameterError, match=r"no common unit.*not convertible"):
        plot_cutouts([cutouts[0], SpectralImage(np.ones((3, 3)), unit="s")])
    with pytest.raises(ParameterError, match="The image is a ndarray"):
        plot_cutouts([np.zeros((3, 3))])


@pytest.mark.parametrize("given", [None, 3])
def test_other_things_than_images_are_refused(given):
    with pytest.raises(ParameterError, match=f"The cutouts are a {type(given).__name__}; expected a list of images"):
        plot_cutouts(given)


def test_one_image_is_no_list_of_them(image):
    with pytest.raises(ParameterError, match="The cutouts are a SpectralImage; expected a list of images"):
        plot_cutouts(image)


def test_cutout_with_a_broken_wcs_is_drawn_with_a_warning(image):
    header = image.header.copy()
    header["CDELT1"] = 0.0
    broken = SpectralImage(image.data, unit=image.unit, header=header)
    with pytest.warns(SpherexButlerWarning, match="has pixels in place of the sky, because .*singular"):
        axes = plot_cutouts([broken, image], ax=grid(1, 2))
    assert [len(ax.texts) for ax in axes] == [1, 0]
