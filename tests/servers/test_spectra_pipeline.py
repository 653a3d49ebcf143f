"""The spectra pipeline on a repository in PostgreSQL and S3.

``make test`` has the two exposures of one release that make a spectrum, ``make test-servers`` three of each release.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from lsst.daf.butler import Butler
from s3_server import serve_bucket
from spectra_repositories import CATALOG, QR3, catalog_of, pipeline, read_spectra, run_pipeline, truth, write_field

from spherex_butler import make_repo
from spherex_butler.ingest import ingest_files
from spherex_butler.spectra import put_catalog
from spherex_butler.verify import check_repository

WHOLE = "SPHEREX_BUTLER_TEST_EXPOSURES" in os.environ

PRODUCTS = ("persistence_masked", "gain_corrected", "zodi_subtracted", "forced_photometry")
"""Of each image."""


@pytest.fixture
def repo(postgres_database, tmp_path) -> Iterator[Path]:
    """A repository of one field and its catalogue, with a database and files on servers."""
    for release in ({}, QR3) if WHOLE else ({},):
        write_field(tmp_path / "files", exposures=3 if WHOLE else 2, **release)
    with serve_bucket("spectra") as bucket:
        root = f"{bucket.url}/repo"
        with make_repo(tmp_path / "repo", database=postgres_database, datastore_root=root) as butler:
            assert ingest_files(butler, tmp_path / "files", transfer="copy").failed == []
            put_catalog(butler, catalog_of(), run=CATALOG)
        yield tmp_path / "repo"


def test_spectra_are_made_from_and_in_s3(repo):
    quanta = run_pipeline(repo, pipeline())
    images = 6 if WHOLE else 2
    assert len(quanta) == 4 * images + 1
    with Butler.from_config(repo, collections="u/me/spectra", instrument="SPHEREx") as butler:
        for name in PRODUCTS:
            refs = butler.query_datasets(name)
            assert len(refs) == images
            assert {butler.getURI(ref).scheme for ref in refs} == {"s3"}
        spectra = read_spectra(butler)
        assert check_repository(butler, remote=4).ok
    assert len(set(spectra["exposure"])) == images
    true = truth(spectra, catalog_of()).value
    good = (spectra["masked_fraction"] == 0) & (true > 5e-4)
    assert np.count_nonzero(good) > 1
    assert spectra["flux"][good] == pytest.approx(true[good], rel=0.1)
