"""The picture of a position's sampling has each image at its time and wavelength, as high as its band is wide."""

from __future__ import annotations

from datetime import datetime

import astropy.units as u
import numpy as np
import pytest
from astropy.table import MaskedColumn, QTable, Table
from astropy.time import Time
from matplotlib import pyplot as plt
from matplotlib.dates import date2num
from matplotlib.figure import Figure

from spherex_butler.errors import ParameterError
from spherex_butler.plot import plot_sampling
from spherex_butler.search import write_images
from spherex_butler.search.reading import read_table


@pytest.fixture
def table() -> QTable:
    return QTable(
        {
            "source": ["a", "a", "a"],
            "detector": [1, 3, 3],
            "wavelength": [0.8, 2.0, 2.1] * u.um,
            "bandwidth": [0.02, 0.05, 0.06] * u.um,
            "time": Time(["2025-05-05T12:00:00", "2025-05-06T00:00:00", "2025-11-05T06:00:00"]),
        }
    )


def plain_axes():
    return Figure(figsize=(8, 4)).add_subplot()


def marks(ax) -> dict[str, np.ndarray]:
    """Return what is drawn of each detector: rows of time, wavelength, and lower and upper end of the band."""
    found = {}
    for container in ax.containers:
        line, _, (bars,) = container.lines
        ends = [segment[:, 1] for segment in bars.get_segments()]
        found[container.get_label()] = np.column_stack([date2num(line.get_xdata()), line.get_ydata(), ends])
    return found


def days(*texts: str) -> list[float]:
    return [date2num(datetime.fromisoformat(text)) for text in texts]


def test_images_are_at_their_times_and_wavelengths(table):
    found = marks(plot_sampling(table, ax=plain_axes()))
    assert list(found) == ["D3: 2", "D1: 1"]
    np.testing.assert_allclose(found["D3: 2"][:, 0], days("2025-05-06", "2025-11-05T06:00"))
    np.testing.assert_allclose(found["D3: 2"][:, 1:], [(2.0, 1.975, 2.025), (2.1, 2.07, 2.13)])
    np.testing.assert_allclose(found["D1: 1"][:, 1:], [(0.8, 0.79, 0.81)])


def test_axes_say_what_they_are(table):
    ax = plot_sampling(table, ax=plain_axes())
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_yscale()) == ("time [UTC]", "wavelength [µm]", "log")
    assert ax.get_title() == "3 images"
    ax.figure.canvas.draw()
    assert [text.get_text() for text in ax.get_yticklabels()] == ["0.75", "1", "1.5", "2", "2.5", "3", "4", "5"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["D3: 2", "D1: 1"]


def test_one_of_several_positions_is_chosen(table):
    table["source"] = ["a", "b", "b"]
    with pytest.raises(ParameterError, match=r"of 2 positions \('a', 'b'\); choose one by source='a'"):
        plot_sampling(table, ax=plain_axes())
    assert list(marks(plot_sampling(table, source="b", ax=plain_axes()))) == ["D3: 2"]
    with pytest.raises(ParameterError, match="source='c' is not in the table; expected one of 'a', 'b'"):
        plot_sampling(table, source="c", ax=plain_axes())
    with pytest.raises(ParameterError, match="it has no rows"):
        plot_sampling(table[:0], source="c", ax=plain_axes())


def test_many_positions_are_not_all_named(table):
    table = QTable({**{name: np.repeat(table[name][:1], 9) for name in table.colnames}, "source": range(9)})
    with pytest.raises(ParameterError, match=r"of 9 positions \(0, 1, 2, 3, 4 …\); choose one by source=0"):
        plot_sampling(table, ax=plain_axes())
    assert list(marks(plot_sampling(table, source=0, ax=plain_axes()))) == ["D1: 1"]


def test_images_of_unknown_wavelength_are_counted(table):
    table["wavelength"][0] = np.nan * u.um
    ax = plot_sampling(table, ax=plain_axes())
    assert ax.get_title() == "2 images; 1 more of unknown wavelength"
    masked = Table({name: table[name] for name in ("detector", "bandwidth", "time")})
    masked["wavelength"] = MaskedColumn([0.8, 2.0, 2.1], mask=[True, True, False])
    assert plot_sampling(masked, ax=plain_axes()).get_title() == "1 image; 2 more of unknown wavelength"


def test_table_without_images_says_so(table):
    for rows, said in ((table[:0], "no images"), (table[:1], "no images; 1 more of unknown wavelength")):
        rows["wavelength"] = np.full(len(rows), np.nan) * u.um
        ax = plot_sampling(rows, ax=plain_axes())
        assert [text.get_text() for text in ax.texts] == [said]
        assert marks(ax) == {}


def test_images_of_one_day_have_a_day_around_them(table):
    ax = plot_sampling(table[:2], ax=plain_axes())
    low, high = ax.get_xlim()
    assert (low, high) == pytest.approx(tuple(days("2025-05-05", "2025-05-06T12:00")))


@pytest.mark.parametrize("name", ["t.ecsv", "t.csv", "t.fits", "t.vot", "t.parquet"])
def test_saved_tables_are_drawn_as_they_were(table, tmp_path, name):
    write_images(table, tmp_path / name)
    found, expected = (marks(plot_sampling(one, ax=plain_axes())) for one in (read_table(tmp_path / name), table))
    assert found.keys() == expected.keys()
    for label, rows in expected.items():
        np.testing.assert_allclose(found[label], rows, rtol=1e-9)


def test_pyplot_is_used_only_without_axes(table):
    plot_sampling(table, ax=plain_axes())
    assert plt.get_fignums() == []
    plot_sampling(table)
    assert len(plt.get_fignums()) == 1


def test_wrong_things_are_refused(table):
    with pytest.raises(ParameterError, match="The table is a list; expected what find_images returns"):
        plot_sampling([], ax=plain_axes())
    with pytest.raises(ParameterError, match=r"no column bandwidth, time, but source, detector, wavelength; expected"):
        plot_sampling(table["source", "detector", "wavelength"], ax=plain_axes())
    with pytest.raises(ParameterError, match=r"ax is of the projection 'polar'; expected plt.subplot\(\)"):
        plot_sampling(table, ax=Figure().add_subplot(projection="polar"))
    table["time"] = [1.5, 2.5, 3.5]
    with pytest.raises(ParameterError, match=r"The column 'time' holds .*1\.5.*; expected times of astropy"):
        plot_sampling(table, ax=plain_axes())
