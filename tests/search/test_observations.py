"""The table of exposures and their images: what is in it, and how it is narrowed."""

from __future__ import annotations

import shutil
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time
from damage import damage, images
from lsst.daf.butler import Butler, InvalidQueryError
from made_once import copy_exposures, copy_repo, new_repo, open_repo

import spherex_butler
from spherex_butler.errors import ConfigurationError, ParameterError
from spherex_butler.ingest import ingest_files

RUN = "spx/l2b-v21-2025-354"


@pytest.fixture(scope="module")
def butler(tmp_path_factory):
    """Two exposures of six detectors, and the first detector of the first once more in a later processing."""
    folder = tmp_path_factory.mktemp("observations")
    files = copy_exposures(folder / "files", exposures=2)
    again = next(path for path in files if path.name.startswith("level2_2025W51_1A_0684_2D1"))
    shutil.copy(again, again.with_name(again.name.replace("v21-2025-354", "v21-2025-360")))
    with open_repo(copy_repo(folder / "repo")) as butler:
        assert len(ingest_files(butler, folder / "files", transfer="copy").ingested) == 13
        yield butler


def first_header(butler: Butler) -> fits.Header:
    with fits.open(butler.getURI(images(butler)[0]).ospath) as hdus:
        return hdus["IMAGE"].header


def test_row_says_what_the_header_says(butler):
    table = spherex_butler.observations(butler)
    header = first_header(butler)
    row = table[1]
    assert table.colnames == [
        *("obs_id", "exposure", "time", "exposure_time", "planning_period"),
        *("survey", "target", "detectors", "release", "run"),
    ]
    assert row["obs_id"] == header["OBSID"] == "2025W51_1A_0684_2"
    assert row["exposure"] == 20255110106842
    assert isinstance(table["time"], Time)
    assert table["time"].scale == "utc"
    middle = Time((header["MJD-BEG"] + header["MJD-END"]) / 2, format="mjd", scale="utc")
    assert abs(row["time"] - middle) < 1 * u.ms
    assert row["exposure_time"] == header["XPOSURE"]
    assert table["exposure_time"].unit == u.s
    assert row["planning_period"] == "2025W51_1A"
    assert row["survey"] == header["SPS_FLAGS"].strip()
    assert row["target"] == f"SPS_{header['SPS_TARGET']}"
    assert (row["detectors"], row["release"], row["run"]) == ("1", "qr2", "spx/l2b-v21-2025-360")


def rows(butler, **filters):
    return [
        (row["obs_id"][-6:], row["detectors"], row["run"][-3:])
        for row in spherex_butler.observations(butler, **filters)
    ]


ALL = [("0684_2", "1,2,3,4,5,6", "354"), ("0684_2", "1", "360"), ("0684_3", "1,2,3,4,5,6", "354")]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ALL),
        ({"detectors": 3}, [("0684_2", "3", "354"), ("0684_3", "3", "354")]),
        ({"detectors": [1, 3]}, [("0684_2", "1,3", "354"), ("0684_2", "1", "360"), ("0684_3", "1,3", "354")]),
        ({"collections": RUN}, [ALL[0], ALL[2]]),
        ({"collections": ["SPHEREx/qr2"], "limit": 2}, ALL[:2]),
        ({"limit": 0}, []),
        ({"planning_period": "2025W51_1A"}, ALL),
        ({"planning_period": "2025W51_1B"}, []),
        ({"survey": "no such"}, []),
        ({"where": "exposure.obs_id = '2025W51_1A_0684_3'"}, ALL[2:]),
        ({"time": (None, "2025-01-01")}, []),
        ({"time": ("2025-01-01", None)}, ALL),
    ],
    ids=str,
)
def test_filters_narrow_the_table(butler, filters, expected):
    found = rows(butler, **filters)
    assert sorted(found) == sorted(expected)
    assert [row[0] for row in found] == sorted(row[0] for row in found)


def test_time_may_be_between_two_exposures(butler):
    first, second = (Time(t) for t in np.unique(spherex_butler.observations(butler)["time"].isot))
    assert len(rows(butler, time=(first, first + 1 * u.s))) == 2
    assert len(rows(butler, time=(second, None))) == 1


def test_nothing_found_has_all_columns():
    with new_repo() as empty:
        table = spherex_butler.observations(empty)
        assert len(table) == 0
        assert len(table.colnames) == 10
        assert table["exposure"].dtype == np.int64


def test_table_comes_back_from_a_file(butler, tmp_path):
    table = spherex_butler.observations(butler)
    table.write(tmp_path / "table.ecsv")
    back = Table.read(tmp_path / "table.ecsv")
    assert back["exposure"].tolist() == table["exposure"].tolist()
    assert abs(back["time"] - table["time"]).max() < 1 * u.ms


def test_exposure_without_time_is_masked(butler, tmp_path):
    folder = shutil.copytree(Path(butler._datastore.root.ospath), tmp_path / "repo")
    with open_repo(folder) as copy:
        damage(copy, "UPDATE exposure SET timespan_begin = NULL, timespan_end = NULL, exposure_time = NULL")
    with open_repo(folder) as copy:
        table = spherex_butler.observations(copy)
    assert table["time"].mask.all()
    assert table["exposure_time"].mask.all()


@pytest.mark.parametrize(
    ("filters", "error", "message"),
    [
        ({"detectors": 7}, ParameterError, "There is no detector 7; expected numbers from 1 to 6"),
        ({"time": ("yesterday", None)}, ParameterError, "'yesterday' is not a time; expected UTC such as"),
        ({"time": ("2026-01-01", "2025-01-01")}, ParameterError, "is empty; expected a begin before the end"),
        ({"time": "2026-01-01"}, ParameterError, "time='2026-01-01' is no range; expected its begin and its end"),
        ({"survey": ["all_sky"]}, ParameterError, r"survey=\['all_sky'\] is not possible; expected one text"),
        ({"planning_period": 1}, ParameterError, "planning_period=1 is not possible; expected one text such as"),
        ({"limit": -1}, ParameterError, "limit=-1 is not possible"),
        ({"where": "exposure.colour = 3"}, InvalidQueryError, "colour"),
    ],
)
def test_filter_that_makes_no_sense_is_refused(butler, filters, error, message):
    with pytest.raises(error, match=message):
        spherex_butler.observations(butler, **filters)


def test_repository_of_another_universe_is_refused(tmp_path):
    Butler.makeRepo(str(tmp_path))
    with Butler.from_config(str(tmp_path)) as other, pytest.raises(ConfigurationError, match="SPHEREx universe"):
        spherex_butler.observations(other)
