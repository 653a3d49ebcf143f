"""The picture of a spectrum has each measurement at its wavelength, with its error; masked ones hollow."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, Table
from matplotlib.figure import Figure

from spherex_butler.errors import ParameterError
from spherex_butler.images.channels import channel_edges
from spherex_butler.plot import plot_spectrum


@pytest.fixture
def table() -> QTable:
    middle = channel_edges(3)[4:6].mean()
    return QTable(
        {
            "source": ["a"] * 5,
            "detector": [1, 3, 3, 3, 3],
            "wavelength": [0.8, middle, middle, middle, 2.0] * u.um,
            "bandwidth": [0.02, 0.05, 0.05, 0.05, 0.05] * u.um,
            "flux": [1.0, 2.0, 4.0, 99.0, np.nan] * u.mJy,
            "flux_error": [0.1, 0.1, 0.2, 0.1, np.nan] * u.mJy,
            "masked_fraction": [0.0, 0.0, 0.2, 0.9, 1.0],
        }
    )


def plain_axes():
    return Figure(figsize=(8, 4)).add_subplot()


def drawn(ax) -> dict[str, np.ndarray]:
    """Return what is drawn under each label: wavelength and flux, and the ends of both error bars."""
    found = {}
    for container in ax.containers:
        line, _, (across, along) = container.lines
        ends = [segment[:, 0] for segment in across.get_segments()], [s[:, 1] for s in along.get_segments()]
        found[container.get_label()] = np.column_stack([line.get_xdata(), line.get_ydata(), *ends])
    return found


def test_measurements_are_at_their_wavelengths_with_their_errors(table):
    ax = plot_spectrum(table, ax=plain_axes())
    found = drawn(ax)
    assert list(found) == ["D1: 1", "D3: 2", "D3: 1, partly masked"]
    np.testing.assert_allclose(found["D1: 1"], [(0.8, 1, 0.79, 0.81, 0.9, 1.1)])
    assert found["D3: 1, partly masked"][0, 1] == pytest.approx(99)
    assert ax.get_title() == "4 points; 1 more without a flux"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("wavelength [µm]", "flux density [mJy]")


def test_masked_measurements_are_hollow(table):
    ax = plot_spectrum(table, ax=plain_axes())
    faces = {one.get_label(): one.lines[0].get_markerfacecolor() for one in ax.containers}
    assert faces["D3: 1, partly masked"] == "none"
    assert faces["D3: 2"] != "none"


def test_channels_have_weighed_means_of_good_measurements(table):
    found = drawn(plot_spectrum(table, binned=True, unit="uJy", ax=plain_axes()))["D3: 1"]
    mean, error = (2000 / 0.01 + 4000 / 0.04) / (1 / 0.01 + 1 / 0.04), 1000 / np.sqrt(1 / 0.01 + 1 / 0.04)
    low, high = channel_edges(3)[4:6]
    np.testing.assert_allclose(found, [((low + high) / 2, mean, low, high, mean - error, mean + error)])


def test_a_table_without_measurements_says_so(table):
    for binned in (False, True):
        ax = plot_spectrum(table[:0], binned=binned, ax=plain_axes())
        assert [text.get_text() for text in ax.texts] == ["no measurements"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "b"}, r"source='b' is not in the table; expected one of 'a'"),
        ({"unit": "um"}, r"unit='um' is not a unit of flux density; expected one such as 'mJy'"),
        ({"unit": "nonsense"}, "is not a unit of flux density"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(table, options, message):
    with pytest.raises(ParameterError, match=message):
        plot_spectrum(table, ax=plain_axes(), **options)


def test_another_table_is_refused_by_what_it_lacks(table):
    with pytest.raises(ParameterError, match=r"no column flux_error.*expected one of .*extract_spectrum"):
        plot_spectrum(table["source", "detector", "wavelength", "bandwidth", "flux", "masked_fraction"])


@pytest.mark.parametrize("name", ["spectrum.ecsv", "spectrum.fits", "spectrum.xml"])
def test_source_of_a_saved_table_is_chosen_by_its_name(table, tmp_path, name):
    table["source"][1] = "b"
    table.write(tmp_path / name, format="votable" if name.endswith("xml") else None)
    ax = plot_spectrum(Table.read(tmp_path / name), source="b", ax=plain_axes())
    assert list(drawn(ax)) == ["D3: 1"]


def test_axis_shows_the_detectors_that_have_points_with_ticks_of_their_own(table):
    ax = plot_spectrum(table[1:4], ax=plain_axes())
    low, high = ax.get_xlim()
    assert low < channel_edges(3).min()
    assert high > channel_edges(3).max()
    assert high / low < 1.7
    shown = [tick for tick in ax.get_xticks() if low < tick < high]
    assert len(shown) >= 4
    low, high = plot_spectrum(table, ax=plain_axes()).get_xlim()
    assert (low < 0.75, high > 2.4) == (True, True)


def test_title_counts_points_and_channels(table):
    assert plot_spectrum(table, ax=plain_axes()).get_title() == "4 points; 1 more without a flux"
    assert plot_spectrum(table, binned=True, ax=plain_axes()).get_title() == "2 channels; 1 more without a flux"


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        (
            "flux",
            [1.0] * 5 * u.um,
            r"The column flux cannot be drawn in mJy \('um' \(length\).*; expected what spherex",
        ),
        ("wavelength", [1e14] * 5 * u.Hz, r"The column wavelength cannot be drawn in um \('Hz' \(frequency\)"),
        ("detector", ["D1"] * 5, "The column detector has 'D1'; expected whole numbers from 1 to 6"),
        ("detector", [1, 2, 3, 4, 9], "The column detector has 9; expected whole numbers from 1 to 6"),
    ],
)
def test_columns_that_mean_something_else_are_refused(table, name, values, message):
    table.replace_column(name, values)
    with pytest.raises(ParameterError, match=message):
        plot_spectrum(table, ax=plain_axes())
