"""Calibration files of the archive: images in whatever HDU, without units, gzipped, over byte ranges."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from http_server import serve
from lsst.daf.butler import DataCoordinate, DatasetRef, DatasetType, FileDataset
from lsst.resources import ResourcePath
from refusals import refused_get

from spherex_butler.testing import write_calibration

SIDE = 512
TOKENS = {"dark": "cal-drk-v4-2025-161", "solid_angle_pixel_map": "cal-sapm-v2-2025-164"}
IMAGES = {
    "abs_gain_matrix": ("IMAGE", u.MJy / u.sr / (u.electron / u.s), "float32"),
    "dark": ("DARK", u.electron / u.s, "float32"),
    "dichroic": ("PRIMARY", u.dimensionless_unscaled, "int32"),
    "l3_flux_corrections": ("IMAGE", u.dimensionless_unscaled, "float32"),
    "nonfunc": ("NONFUNC", u.dimensionless_unscaled, "int64"),
    "solid_angle_pixel_map": ("IMAGE", u.arcsec**2, "float32"),
}


def write(folder: Path, kind: str, *, side: int = 48) -> Path:
    token = TOKENS.get(kind, "base-2025-158")
    return write_calibration(folder, kind, token, detector=3, shape=(side, side))


def register(store: Any, url: str, storage_class: str, name: str) -> DatasetRef:
    """Register a file of a web server where it is."""
    dataset_type = DatasetType(name, store.butler.dimensions.empty, storage_class)
    store.butler.registry.registerDatasetType(dataset_type)
    ref = DatasetRef(dataset_type, DataCoordinate.make_empty(store.butler.dimensions), run="test")
    store.butler.ingest(FileDataset(ResourcePath(url), [ref]), transfer="direct")
    return ref


@pytest.mark.parametrize("kind", IMAGES)
def test_image_is_read_from_the_hdu_it_is_in(store, tmp_path, kind):
    path = write(tmp_path, kind)
    name, unit, dtype = IMAGES[kind]
    expected = fits.getdata(path, name)
    ref = store.ingest(path, "CCDData")
    got = store.get(ref)
    assert (type(got), got.unit, got.data.dtype) == (CCDData, unit, np.dtype(dtype))
    np.testing.assert_array_equal(got.data, expected)
    assert [got.mask, got.uncertainty, got.flags, got.psf, got.wcs] == [None] * 5
    assert (str(got.meta["DETECTOR"]), got.meta["TELESCOP"]) == ("3", "SPHEREx")
    assert (store.get(ref, "unit"), store.get(ref, "shape")) == (unit, [48, 48])
    assert store.get(ref, "header")["DETECTOR"] == got.meta["DETECTOR"]
    np.testing.assert_array_equal(store.get(ref, "image", bbox=(5, 9, 40, 60)), expected[40:, 5:9])
    assert store.get(ref, bbox=(5, 9, 40, 60)).shape == (8, 4)


def test_file_of_several_images_names_them(store, tmp_path):
    ref = store.ingest(write(tmp_path, "readnoise_pars"), "CCDData")
    assert "The file holds images in 1 'READNOISE-1', 2 'READNOISE-2'; expected one image" in refused_get(store, ref)


# Gzipped files.


def zipped(path: Path) -> Path:
    target = path.with_name(f"{path.name}.gz")
    with path.open("rb") as source, gzip.open(target, "wb") as stream:
        shutil.copyfileobj(source, stream)
    return target


def test_gzipped_image_and_hdus_are_read(store, tmp_path):
    path = write(tmp_path, "dark")
    pixels = fits.getdata(path, 1)
    ref = store.ingest(zipped(path), "CCDData")
    np.testing.assert_array_equal(store.get(ref).data, pixels)
    np.testing.assert_array_equal(store.get(ref, "image", bbox=(1, 3, 4, 7)), pixels[4:7, 1:3])
    ref = store.ingest(zipped(path), "HDUList")
    np.testing.assert_array_equal(store.get(ref, hdus="DARK")["DARK"].data, pixels)
    assert store.get(ref, "headers")["DARK"]["BUNIT"] == fits.getheader(path, 1)["BUNIT"]


# Over byte ranges.


@pytest.fixture(scope="module")
def dark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("archive"), "dark", side=SIDE)


@pytest.mark.parametrize("component", ["unit", "shape", "header", "image", None])
def test_part_of_a_remote_image_costs_only_its_bytes(store, dark, component):
    parameters = {"bbox": (100, 130, 200, 220)} if component in {"image", None} else {}
    expected = store.get(store.ingest(dark, "CCDData"), component, **parameters)
    with serve(dark.parent) as served:
        ref = register(store, f"{served.url}/{dark.name}", "CCDData", f"dark_{component}")
        served.requests.clear()
        got = store.get(ref, component, **parameters)
        assert served.bytes_sent < 0.2 * dark.stat().st_size
        assert all(wanted is not None for method, _, wanted, _ in served.requests if method == "GET")
    if parameters:
        np.testing.assert_array_equal(np.asarray(got), np.asarray(expected))
    else:
        assert got == expected


def test_some_hdus_of_a_remote_file_cost_only_their_bytes(store, tmp_path):
    path = write_calibration(tmp_path, "nonlinear_pars", "base-2025-158", detector=2, shape=(SIDE, SIDE))
    with serve(path.parent) as served:
        ref = register(store, f"{served.url}/{path.name}", "HDUList", "nonlinear_remote")
        served.requests.clear()
        got = store.get(ref, hdus="b2")
        headers = store.get(ref, "headers")
        assert served.bytes_sent < 0.5 * path.stat().st_size
    assert [hdu.name for hdu in got] == ["PRIMARY", "B2"]
    np.testing.assert_array_equal(got["B2"].data, fits.getdata(path, "B2"))
    assert list(headers) == ["PRIMARY", "Q_NL", "B1", "B2", "B3", "QMAX"]


def test_gzipped_remote_file_is_fetched_whole(store, tmp_path):
    path = zipped(write(tmp_path, "readnoise_pars"))
    with serve(path.parent) as served:
        ref = register(store, f"{served.url}/{path.name}", "HDUList", "readnoise_zipped")
        assert [hdu.name for hdu in store.get(ref, hdus="READNOISE-2")] == ["PRIMARY", "READNOISE-2"]
