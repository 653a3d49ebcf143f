"""Datasets whose files are on a web server are looked into there."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table
from http_server import serve
from lsst.daf.butler import DatasetRef, DatasetType, FileDataset
from lsst.resources import ResourcePath
from made_once import copy_repo, open_repo

from spherex_butler.datasets.reading import read_content
from spherex_butler.datasets.report import describe_dataset
from spherex_butler.ingest import ingest_files
from spherex_butler.testing import write_level2


@pytest.fixture
def butler(tmp_path):
    with open_repo(copy_repo(tmp_path / "repo")) as opened:
        yield opened


def test_image_is_told_by_its_headers(butler, tmp_path):
    path = write_level2(tmp_path / "files", detector=3, size=1024)
    with serve(path.parent) as served:
        (ref,) = ingest_files(butler, f"{served.url}/{path.name}", transfer="direct").ingested
        served.requests.clear()
        before = served.bytes_sent
        (file,) = describe_dataset(butler, ref).files
        assert file.content == read_content(ResourcePath(str(path)))
        assert len(file.content.parts) == 7
        assert {method for method, *_ in served.requests} == {"GET"}
        assert len(served.requests) <= 8
        assert served.bytes_sent - before < path.stat().st_size / 20


@pytest.mark.parametrize(("storage_class", "kind"), [("VOTable", "votable"), ("HDF5Table", "HDF5")])
def test_table_is_told(butler, tmp_path, storage_class, kind):
    dataset_type = DatasetType("a_table", ["instrument"], storage_class, universe=butler.dimensions)
    butler.registry.registerDatasetType(dataset_type)
    for run in ("u/local", "u/remote"):
        butler.collections.register(run)
    data_id = butler.registry.expandDataId(instrument="SPHEREx")
    local = butler.put(Table({"a": np.arange(5)}), dataset_type, data_id, run="u/local")
    source = butler.getURI(local)
    with serve(tmp_path / "repo") as served:
        ref = DatasetRef(dataset_type, data_id, run="u/remote")
        url = f"{served.url}/{source.relative_to(butler.get_datastore_roots().popitem()[1])}"
        butler.ingest(FileDataset(url, ref), transfer="direct")
        (file,) = describe_dataset(butler, ref).files
        assert file.content == describe_dataset(butler, local).files[0].content
        assert file.content.format.lower() == kind.lower()


def test_file_that_a_server_lacks_is_told(butler, tmp_path):
    path = write_level2(tmp_path / "files", detector=3, size=32)
    with serve(path.parent) as served:
        (ref,) = ingest_files(butler, f"{served.url}/{path.name}", transfer="direct").ingested
        path.unlink()
        report = describe_dataset(butler, ref)
    assert not report.ok
    assert report.files[0].problem == "the file is not there. 'butler spherex verify REPO' says what to do."
