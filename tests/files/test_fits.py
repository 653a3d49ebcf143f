"""FITS files are opened in the same way wherever they are."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from fits_samples import written
from http_server import serve
from lsst.resources import ResourcePath

from spherex_butler.files.fits import open_fits

PIXELS = np.arange(1_000_000, dtype="int32").reshape(1000, 1000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    raw = written([fits.PrimaryHDU(), fits.ImageHDU(PIXELS, name="X")])
    (folder / "x.fits").write_bytes(raw)
    (folder / "x.fits.gz").write_bytes(gzip.compress(raw, 1))
    (folder / "cut.fits.gz").write_bytes(gzip.compress(raw, 1)[:-20])
    return folder


def read(uri: str) -> np.ndarray:
    with open_fits(ResourcePath(uri)) as file:
        return file.image(file["X"])


@pytest.mark.parametrize("name", ["x.fits", "x.fits.gz"])
@pytest.mark.parametrize("ranges", [None, True, False])
def test_image_is_read_from_a_disk_and_from_any_server(folder, name, ranges):
    if ranges is None:
        assert np.array_equal(read(str(folder / name)), PIXELS)
        return
    with serve(folder, ranges=ranges) as served:
        assert np.array_equal(read(f"{served.url}/{name}"), PIXELS)
