"""Repositories that earlier code wrote: `data/repository_before_the_layout.tar.xz` is of the code at 8a78910.

Its images and other datasets carry the dotted paths of formatters as they
were stored then.
"""

from __future__ import annotations

import contextlib
import tarfile
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from lsst.daf.butler import Butler

from spherex_butler import SpectralImage
from spherex_butler.verify import check_repository

ARCHIVE = Path(__file__).parents[1] / "data" / "repository_before_the_layout.tar.xz"


@pytest.fixture(scope="module")
def old_repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))  # from 3.11.4 on
    with contextlib.closing(Butler.from_config(folder / "repository", collections="old", instrument="SPHEREx")) as it:
        yield it


EXPECTED = {
    "old_ccddata": lambda ccd: (
        (ccd.data.tolist(), str(ccd.unit), ccd.meta["KEY"]) == ([[0, 1, 2], [3, 4, 5]], "adu", 1)
    ),
    "old_hdulist": lambda hdus: hdus[0].data.tolist() == [0, 1, 2, 3],
    "old_votable": lambda table: (table["a"].tolist(), table["b"].tolist()) == ([1, 2], ["x", "y"]),
    "old_voqtable": lambda table: (table["a"] == [1, 2] * u.um).all(),
    "old_hdf5": lambda tree: (tree["a"].tolist(), tree["b"]) == ([0, 1, 2], {"c": "text"}),
    "old_hdf5table": lambda table: (table["a"].tolist(), table["b"].tolist()) == ([1, 2], ["x", "y"]),
    "old_hdf5array": lambda array: np.array_equal(array, np.arange(6.0).reshape(2, 3)),
    "old_numpyarray": lambda array: np.array_equal(array, np.arange(6).reshape(2, 3)),
    "old_spectralimage": lambda image: isinstance(image, SpectralImage) and image.shape == (8, 8),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_datasets_of_earlier_code_are_read(old_repository, name):
    assert EXPECTED[name](old_repository.get(name))


def test_image_that_earlier_code_ingested_is_read(old_repository):
    (ref,) = old_repository.query_datasets("level2", collections="SPHEREx/defaults")
    image = old_repository.get(ref)
    assert (type(image), image.shape, ref.run) == (SpectralImage, (16, 16), "spx/l2b-v21-2025-354")


def test_repository_of_earlier_code_is_whole(old_repository):
    assert check_repository(old_repository).problems == ()
