"""What a repository holds: the numbers are those that plain queries give."""

from __future__ import annotations

import pytest
from astropy.time import Time
from damage import certify, damage, put_dark
from lsst.daf.butler import DatasetType
from made_once import copy_exposures, new_repo

import spherex_butler
from spherex_butler.ingest import ingest_files
from spherex_butler.search import RepositorySummary


@pytest.fixture
def filled(tmp_path):
    with new_repo() as butler:
        ingest_files(butler, copy_exposures(tmp_path, exposures=2)[:9], transfer="copy")
        for detector in (1, 3):
            certify(butler, put_dark(butler, detector))
        butler.registry.registerDatasetType(
            DatasetType("notes", ["instrument"], "StructuredDataDict", universe=butler.dimensions)
        )
        butler.collections.register("u/me")
        butler.put({"a": 1}, "notes", instrument="SPHEREx", run="u/me")
        yield butler


def test_numbers_are_those_of_queries(filled):
    found = spherex_butler.summary(filled)
    exposures = filled.query_dimension_records("exposure")
    assert isinstance(found, RepositorySummary)
    assert found.exposures == len(exposures) == 2
    assert found.begin == min(record.timespan.begin for record in exposures)
    assert found.end == max(record.timespan.end for record in exposures)
    assert found.planning_periods == 1
    assert found.surveys == {record.science_program: 2 for record in exposures}
    assert found.images == {"spx/l2b-v21-2025-354": 9}
    assert sum(found.detectors.values()) == 9
    assert found.detectors == {
        number: len(filled.query_datasets("level2", "SPHEREx/defaults", where=f"detector = {number}"))
        for number in range(1, 7)
    }
    assert (found.calibrations, found.others) == ({"dark": 2}, {"notes": 1, "distortion": 6})
    assert found.defaults == ("SPHEREx/qr2", "SPHEREx/calib")
    assert found.universe == "spherex 1"


def test_it_shows_itself_in_ten_lines_and_in_one(filled):
    found = spherex_butler.summary(filled)
    lines = str(found).splitlines()
    assert len(lines) == 10
    assert "images        9 in 1 processing" in lines
    assert "releases      qr2 9" in lines
    assert repr(found) == "<RepositorySummary: 2 exposures, 9 images, 2 calibrations>"


def test_surveys_are_counted_each_and_those_unknown(filled):
    damage(filled, "UPDATE exposure SET science_program = NULL WHERE id = (SELECT min(id) FROM exposure)")
    found = spherex_butler.summary(filled).surveys
    assert sorted(found.values()) == [1, 1]
    assert found["survey unknown"] == 1


def test_empty_repository_has_none_of_all():
    with new_repo() as butler:
        found = spherex_butler.summary(butler)
    assert (found.exposures, found.begin, found.images, found.detectors) == (0, None, {}, {})
    assert len(str(found).splitlines()) == 9
    assert not isinstance(found.begin, Time)
