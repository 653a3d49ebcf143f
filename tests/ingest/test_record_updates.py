"""Ingest with ``update_records``: exposures and regions become what headers say, and what changed is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from astropy.io import fits
from lsst.daf.butler import Butler
from lsst.sphgeom import ConvexPolygon, UnitVector3d

from spherex_butler.ingest import ingest_files
from spherex_butler.repository.reports import IngestReport, RecordChange

EXPOSURE = 20255110106842


def ingested_and_changed(butler: Butler, files: list[Path], *changed: Path, **cards: object) -> IngestReport:
    """Ingest files, change the headers of some, and ingest all again with an update."""
    assert len(ingest_files(butler, files, transfer="direct").ingested) == len(files)
    for path in changed:
        with fits.open(path, mode="update") as hdus:
            hdus["IMAGE"].header.update(cards)
    return ingest_files(butler, files, transfer="direct", update_records=True)


def exposure(butler: Butler):
    (record,) = butler.query_dimension_records("exposure")
    return record


def test_nothing_is_updated_where_headers_say_the_same(butler, files):
    report = ingested_and_changed(butler, files)
    assert (len(report.skipped), report.failed, report.updated) == (6, [], [])
    assert report.summary == "0 ingested, 6 already there, 0 failed"


def test_nothing_is_updated_unless_asked_for(butler, files):
    ingested_and_changed(butler, files, *files, XPOSURE=100.0)
    assert exposure(butler).exposure_time == 100.0
    with fits.open(files[0], mode="update") as hdus:
        hdus["IMAGE"].header["XPOSURE"] = 99.0
    assert ingest_files(butler, files[0], transfer="direct").updated == []
    assert exposure(butler).exposure_time == 100.0


def test_field_of_the_exposure_is_replaced(butler, files):
    report = ingested_and_changed(butler, files, *files, XPOSURE=100.0)
    assert report.updated == [RecordChange("exposure", str(EXPOSURE), "exposure_time", 113.5826, 100.0)]
    assert exposure(butler).exposure_time == 100.0
    assert report.summary == "0 ingested, 6 already there, 0 failed, 1 fields of records updated"
    assert str(report).startswith(f"exposure {EXPOSURE}: exposure_time was 113.5826, is 100.0 now.\n")
    assert json.loads(json.dumps(report.to_dict()))["updated"][0]["field"] == "exposure_time"


def test_region_is_replaced_and_found_where_it_is_now(butler, files):
    report = ingested_and_changed(butler, files, files[2], CRVAL1=100.0, CRVAL2=-10.0)
    (change,) = report.updated
    assert (change.element, change.data_id, change.field) == ("exposure_detector_region", f"3 {EXPOSURE}", "region")
    assert change.old != change.new
    images = [
        butler.query_datasets(
            "level2", where=f"exposure_detector_region.region OVERLAPS POINT({ra}, {dec})", explain=False
        )
        for ra, dec in ((100.0, -10.0), (10.088, 40.899))
    ]
    assert [sorted(ref.dataId["detector"] for ref in refs) for refs in images] == [[3], [6]]


def test_region_comes_and_goes(butler, files):
    with fits.open(files[2], mode="update") as hdus:
        header = hdus["IMAGE"].header
        types = {keyword: header.pop(keyword) for keyword in ("CTYPE1", "CTYPE2")}
    report = ingested_and_changed(butler, files[2:3], files[2], **types)
    assert [(change.field, change.old) for change in report.updated] == [("region", None)]
    (record,) = butler.query_dimension_records("exposure_detector_region")
    assert record.region is not None


def test_millisecond_between_detectors_is_no_change(butler, files):
    ingest_files(butler, files, transfer="direct")
    before = exposure(butler).timespan
    for path in files:
        assert ingest_files(butler, path, transfer="direct", update_records=True).updated == []
    assert exposure(butler).timespan == before


def test_last_digits_of_a_region_are_no_change(butler, files):
    ingest_files(butler, files, transfer="direct")
    regions = butler.query_dimension_records("exposure_detector_region")
    moved = [
        [UnitVector3d(corner.x(), corner.y(), corner.z() + 1e-13) for corner in record.region.getVertices()]
        for record in regions
    ]
    fields = [{**record.toDict(), "region": ConvexPolygon(at)} for record, at in zip(regions, moved, strict=True)]
    butler.registry.insertDimensionData("exposure_detector_region", *fields, replace=True)
    assert ingest_files(butler, files, transfer="direct", update_records=True).updated == []


def test_times_that_were_rounded_are_replaced(butler, files):
    report = ingested_and_changed(butler, files[:1], files[0], **{"MJD-BEG": 61027.214985375})
    (change,) = report.updated
    assert (change.element, change.field) == ("exposure", "timespan")
    assert exposure(butler).timespan.begin.utc.mjd == pytest.approx(61027.214985375, abs=1e-9)
