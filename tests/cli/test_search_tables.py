"""The lines that a person reads of what ``butler spherex search`` found."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from astropy.time import Time

from spherex_butler.cli.search_tables import summary, table_lines


def images(sources: list[str] | list[int]) -> QTable:
    """Return as many rows as sources, the time of the last of which is not known."""
    number = len(sources)
    times = Time(["2025-12-18T05:10:32.25"] * number)
    times[-1] = np.ma.masked
    return QTable(
        {
            "source": sources,
            "dataset_id": [f"{place % 2}" for place in range(number)],
            "obs_id": ["2025W51_1A_0684_2"] * number,
            "detector": [3] * number,
            "channel": [17] * number,
            "wavelength": [2.2] * number * u.um,
            "bandwidth": [0.05] * number * u.um,
            "x": [-1234.5] * number * u.pix,
            "y": [2039.5] * number * u.pix,
            "time": times,
            "release": ["qr2"] * number,
        }
    )


def test_time_that_is_not_known_is_left_empty():
    _, first, last = table_lines(images(["a star"] * 2), 80, with_source=False)
    assert first.endswith("  2025-12-18T05:10:32")
    assert last.endswith("  2039.5")


@pytest.mark.parametrize("room", range(80, 140, 7))
@pytest.mark.parametrize("sources", [["a", "b"], ["a" * 300, "b" * 300], ["a" * 30] * 2, [100_000, 100_001]])
def test_needed_columns_always_fit(room, sources):
    lines = table_lines(images(sources), room, with_source=sources[0] != sources[1])
    assert max(map(len, lines)) <= room
    heading = lines[0].split()
    assert ("source" in heading) == (sources[0] != sources[1])
    for names in (["obs_id"], ["detector", "det"], ["wavelength", "um"], ["x"], ["y"], ["time"]):
        assert set(names) & set(heading)


def test_summary_counts_images_and_says_the_source_that_the_table_leaves_out():
    assert summary(images(["M31", "M31"])) == "2 images of D3, 2.200 um, at M31."
    assert summary(images(["M31"])) == "1 image of D3, 2.200 um, at M31."
    assert summary(images([7, 7])) == "2 images of D3, 2.200 um, of source 7."
    assert summary(images(["M31", "M33", "M33"])) == "3 matches: 2 sources in 2 images of D3, 2.200 um."


def test_summary_says_all_detectors_and_the_range_of_wavelengths():
    found = images(["M31"] * 3)
    found["detector"], found["wavelength"] = [3, 1, 6], [2.2, 0.9, 4.5] * u.um
    assert summary(found) == "2 images of D1, D3 and D6, 0.900 to 4.500 um, at M31."
