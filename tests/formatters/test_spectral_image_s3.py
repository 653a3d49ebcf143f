"""`SpectralImage` in an S3 datastore: files put there, and parts of them read by byte ranges."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from image_samples import assert_same
from lsst.daf.butler import Butler, DatasetRef, DatasetType
from lsst.resources import ResourcePath
from made_once import copy_repo, open_repo
from s3_server import Bucket, serve_bucket

from spherex_butler import SpectralImage
from spherex_butler.files.remote import ChangedFileError, remote_ranges
from spherex_butler.ingest import ingest_files
from spherex_butler.testing import make_spectral_image, write_level2

BBOX = (900, 930, 800, 820)


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with serve_bucket("archive") as bucket:
        yield bucket


def make_stored_repo(folder: Path, bucket: Bucket) -> Butler:
    """Make a repository whose registry is local and whose files are in the bucket."""
    return open_repo(copy_repo(folder / "repository", datastore_root=f"{bucket.url}/{folder.name}"))


@pytest.fixture
def butler(bucket: Bucket, tmp_path: Path) -> Iterator[Butler]:
    with contextlib.closing(make_stored_repo(tmp_path, bucket)) as butler:
        yield butler


@pytest.fixture(scope="module", params=["qr2", "qr3"])
def path(request, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_level2(tmp_path_factory.mktemp(request.param), release=request.param, detector=3, size=512)


@pytest.fixture(scope="module")
def full(path) -> SpectralImage:
    return SpectralImage.read(path)


@pytest.fixture(scope="module")
def repository(bucket, path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DatasetRef]:
    """A repository with the file in it."""
    folder = tmp_path_factory.mktemp("ingested")
    with contextlib.closing(make_stored_repo(folder, bucket)) as butler:
        (ref,) = ingest_files(butler, path, transfer="copy").ingested
    return folder / "repository", ref


@pytest.fixture
def reader(bucket, repository) -> Iterator[Butler]:
    """The same, opened anew: nothing is in its cache."""
    with contextlib.closing(Butler.from_config(repository[0])) as butler:
        bucket.seen.clear()
        yield butler


@pytest.fixture
def ref(repository) -> DatasetRef:
    return repository[1]


def put(butler: Butler, dataset: Any, storage_class: str) -> DatasetRef:
    butler.registry.registerDatasetType(DatasetType("product", butler.dimensions.empty, storage_class))
    butler.collections.register("products")
    return butler.put(dataset, "product", run="products")


# Reading.


def test_file_is_in_the_bucket_as_it_was(reader, ref, path):
    uri = reader.getURI(ref)
    assert (uri.scheme, uri.netloc) == ("s3", "archive")
    assert uri.read() == path.read_bytes()


def test_cutout_takes_a_small_part_of_the_file(reader, ref, bucket, path, full):
    assert_same(reader.get(ref, parameters={"bbox": BBOX}), full.cutout(bbox=BBOX), psf=False)
    assert all(wanted is not None for _, _, wanted, _ in bucket.gets)
    assert 0 < len(bucket.gets) <= 9
    assert bucket.bytes_sent < 0.3 * path.stat().st_size


# Writing.


def test_image_that_is_put_comes_back_whole_and_in_part(butler):
    image = make_spectral_image(detector=3, size=48, origin=(900, 800))
    ref = put(butler, image, "SpectralImage")
    assert butler.getURI(ref).scheme == "s3"
    assert_same(butler.get(ref), image)
    assert_same(butler.get(ref, parameters={"bbox": (910, 920, 805, 825)}), image.cutout(bbox=(910, 920, 805, 825)))


@pytest.mark.parametrize("storage_class", ["HDF5Table", "VOTable"])
def test_table_comes_back(butler, storage_class):
    table = QTable({"flux": [1.5, 2.5] * u.mJy, "name": ["zodi", "µm"]})
    ref = put(butler, table, storage_class)
    assert butler.getURI(ref).scheme == "s3"
    found = butler.get(ref)
    assert np.array_equal(u.Quantity(found["flux"]), table["flux"])
    assert found["name"].tolist() == table["name"].tolist()
    assert butler.get(ref, parameters={"columns": ["name"]}).colnames == ["name"]


def test_object_that_is_replaced_meanwhile_is_not_mixed(bucket, path, tmp_path):
    key = f"{tmp_path.name}/{path.name}"
    bucket.client.put_object(Bucket="archive", Key=key, Body=path.read_bytes())
    reader = remote_ranges(ResourcePath(f"s3://archive/{key}"), pauses=(0.0, 0.01))
    assert reader([(0, 80)]) == [path.read_bytes()[:80]]
    assert reader.size == path.stat().st_size
    bucket.client.put_object(Bucket="archive", Key=key, Body=path.read_bytes()[::-1])
    with pytest.raises(ChangedFileError, match=r"was replaced while it was read: it began as version \".*\", and now"):
        reader([(80, 160)])
    past = remote_ranges(ResourcePath(f"s3://archive/{key}"))
    assert past([(path.stat().st_size + 10, path.stat().st_size + 20)]) == [b""]
