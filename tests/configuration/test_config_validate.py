"""``butler config-validate`` on our repositories: it passes, once it leaves out a template that is for Rubin alone."""

from __future__ import annotations

import pytest
from lsst.daf.butler import DatasetTypeExpressionError
from made_once import copy_exposures, new_repo

from spherex_butler.ingest import ingest_files

TEMPLATE = "physical_filter+detector+exposure"
"""A key of Butler's default templates, whose dimension physical_filter our universe does not have."""


def test_our_repositories_pass(tmp_path):
    with new_repo() as butler:
        butler.validateConfiguration(ignore=[TEMPLATE])
        ingest_files(butler, copy_exposures(tmp_path), transfer="direct")  # which registers a dataset type of ours
        assert butler.registry.queryDatasetTypes("distortion")
        butler.validateConfiguration(ignore=[TEMPLATE])


def test_the_template_still_has_to_be_left_out():
    # Butler takes a key of dimensions that a universe lacks for the name of a dataset type, and a repository's own
    # configuration can add to the default one, but remove nothing from it:
    # https://github.com/lsst/daf_butler/blob/main/python/lsst/daf/butler/configs/datastores/fileDatastore.yaml
    with (
        new_repo() as butler,
        pytest.raises(DatasetTypeExpressionError, match="does not look like a valid dataset type"),
    ):
        butler.validateConfiguration()
