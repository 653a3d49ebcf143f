"""What runs on SQLite and a folder runs on PostgreSQL and S3 together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from archive_samples import sia_table
from damage import images
from lsst.daf.butler import Butler, DatasetType
from made_once import copy_configuration, new_repo
from postgres import new_database, reader_of
from s3_server import Bucket, serve_bucket
from stored_objects import STORED, numbers_in

from spherex_butler import make_repo, open_repo
from spherex_butler.archive import ingest_archive_table
from spherex_butler.calibrations import calibration_for, ingest_calibrations
from spherex_butler.export import export_images
from spherex_butler.ingest import ingest_files
from spherex_butler.search import find_images, get_cutouts
from spherex_butler.testing import write_calibrations, write_exposures
from spherex_butler.verify import check_repository

EXPOSURES = 3
"""Of one detector, all whose calibrations are there."""


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with serve_bucket("mission") as bucket:
        yield bucket


@pytest.fixture(scope="module")
def exposures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_exposures(tmp_path_factory.mktemp("exposures"), exposures=EXPOSURES, detectors=[3], size=48)


@pytest.fixture(scope="module")
def mission(bucket, exposures, postgres_server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A repository with images and the calibrations of a detector; tests add to it and take nothing away."""
    folder = tmp_path_factory.mktemp("mission")
    database = new_database(postgres_server)
    with make_repo(folder / "repo", database=database, datastore_root=f"{bucket.url}/repo") as butler:
        report = ingest_files(butler, exposures, transfer="copy")
        assert (len(report.ingested), report.failed) == (EXPOSURES, [])
        calibrations = write_calibrations(folder / "calibrations", detectors=[3])
        report = ingest_calibrations(butler, calibrations, transfer="copy")
        assert (len(report.ingested), report.failed) == (len(calibrations), [])
    with reader_of(database) as url:
        copy_configuration(folder / "repo", folder / "reader", {"registry": {"db": url}})
        yield folder / "repo"


@pytest.fixture
def butler(mission) -> Iterator[Butler]:
    with open_repo(mission, writeable=True) as butler:
        yield butler


def test_images_are_read_and_ingested_once(butler, exposures):
    again = ingest_files(butler, exposures, transfer="copy")
    assert (len(again.skipped), again.ingested, again.failed) == (EXPOSURES, [], [])
    ref = images(butler, detector=3)[0]
    assert butler.getURI(ref).scheme == "s3"
    assert butler.get(ref).shape == (48, 48)


def test_calibration_is_found_and_read(butler):
    ref = images(butler, detector=3)[0]
    dark = calibration_for(butler, "dark", ref)
    assert butler.getURI(dark).scheme == "s3"
    assert butler.get(dark).shape == butler.get("dark", dataId=ref.dataId).shape == (48, 48)


def test_images_are_found_and_cut(butler):
    ref = images(butler, detector=3)[0]
    table = find_images(butler, butler.get(ref.makeComponentRef("wcs")).pixel_to_world(20, 20), detectors=3)
    assert str(ref.id) in set(table["dataset_id"])
    assert all(uri.startswith("s3://mission/repo/") for uri in table["uri"])
    cutouts = get_cutouts(butler, table, 6)
    assert ([cutout.shape for cutout in cutouts], cutouts.failed) == ([(6, 6)] * len(table), [])


@pytest.mark.parametrize("storage_class", STORED)
def test_each_storage_class_is_put_and_got(butler, storage_class):
    butler.collections.register("u/products")
    made = STORED[storage_class]()
    butler.registry.registerDatasetType(DatasetType(storage_class.lower(), butler.dimensions.empty, storage_class))
    ref = butler.put(made, storage_class.lower(), run="u/products")
    assert butler.getURI(ref).scheme == "s3"
    found = butler.get(ref)
    assert isinstance(found, type(made))
    assert np.array_equal(numbers_in(found), numbers_in(made))


def test_archive_is_registered_without_its_files(bucket, postgres_database, tmp_path):
    with make_repo(tmp_path / "repo", database=postgres_database, datastore_root=f"{bucket.url}/archive") as butler:
        bucket.seen.clear()
        report = ingest_archive_table(butler, sia_table())
        assert (len(report.ingested), report.failed) == (len(sia_table()), [])
        assert [request for request in bucket.seen if request[1].endswith(".fits")] == []
        assert {butler.getURI(ref).scheme for ref in images(butler)} == {"https"}
        assert len(find_images(butler, "10.684 41.269")) > 0


def test_repository_is_whole(butler):
    report = check_repository(butler, remote=4)
    assert report.ok, report


def test_repository_is_exported_both_ways(butler, bucket, postgres_database, tmp_path):
    with new_repo() as local:
        report = export_images(butler, local)
        assert (report.images, report.failed) == (EXPOSURES, [])
        assert check_repository(local).ok
        back_root = f"{bucket.url}/back"
        with make_repo(tmp_path / "back", database=postgres_database, datastore_root=back_root) as back:
            report = export_images(local, back)
            assert (report.images, report.failed) == (EXPOSURES, [])
            assert check_repository(back, remote=4).ok
            dark = back.get("dark", dataId=images(back, detector=3)[0].dataId)
            assert np.array_equal(dark.data, butler.get("dark", dataId=images(butler, detector=3)[0].dataId).data)


def test_user_with_select_alone_reads(mission):
    with contextlib.closing(open_repo(mission.parent / "reader")) as reader:
        ref = images(reader, detector=3)[0]
        assert reader.get(ref, parameters={"bbox": (1000, 1010, 1000, 1010)}).shape == (10, 10)
        center = reader.get(ref.makeComponentRef("wcs")).pixel_to_world(20, 20)
        assert str(ref.id) in set(find_images(reader, center)["dataset_id"])
        assert check_repository(reader, remote=4).ok
