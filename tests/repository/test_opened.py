"""Repositories that are opened: what is known of one that is fit for use, and why another is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from lsst.daf.butler import Butler, Config
from lsst.resources import ResourcePath
from made_once import copy_repo

import spherex_butler
from spherex_butler.errors import ConfigurationError, ParameterError
from spherex_butler.ingest import ingest_files
from spherex_butler.repository.opened import check_opened
from spherex_butler.repository.registration import stored_files
from spherex_butler.search import find_images
from spherex_butler.verify import check_repository


def test_repository_is_handed_on_with_its_root_and_instrument(butler):
    opened = check_opened(butler)
    assert (opened.butler, opened.root) == (butler, butler._datastore.root)
    assert opened.instrument.name == "SPHEREx"
    assert {number: record.full_name for number, record in opened.detectors.items()} == {
        number: f"D{number}" for number in range(1, 7)
    }


def test_reader_will_do_where_nothing_is_written(butler):
    with Butler.from_config(butler._datastore.root, writeable=False) as reader:
        assert check_opened(reader, writeable=False).butler is reader
        with pytest.raises(ConfigurationError, match=r"^The target is read-only here; open it with"):
            check_opened(reader, what="The target")


def test_repository_of_another_universe_is_refused(tmp_path):
    Butler.makeRepo(str(tmp_path / "rubin"))
    with (
        Butler.from_config(str(tmp_path / "rubin"), writeable=True) as other,
        pytest.raises(ConfigurationError, match=r"daf_butler.* has no exposure_detector_region, planning_period; "),
    ):
        check_opened(other)


def test_repository_without_detectors_is_refused(tmp_path):
    dimensions = "resource://spherex_butler/configs/repository/dimensions.yaml"
    config = Config({"includeConfigs": ["resource://spherex_butler/configs/repository/butler.yaml"]})
    Butler.makeRepo(tmp_path / "bare", config=config, dimensionConfig=Config(dimensions))
    with (
        Butler.from_config(tmp_path / "bare", writeable=True) as bare,
        pytest.raises(
            ConfigurationError, match="has 0 records of the instrument 'SPHEREx' and its detectors; expected what"
        ),
    ):
        check_opened(bare)


def test_datastore_without_a_root_is_refused(tmp_path):
    copy_repo(tmp_path / "repo")
    config = Config(str(tmp_path / "repo" / "butler.yaml"))
    config["datastore", "cls"] = "lsst.daf.butler.datastores.inMemoryDatastore.InMemoryDatastore"
    config.dumpToUri(ResourcePath(tmp_path / "repo" / "butler.yaml"))
    with Butler.from_config(tmp_path / "repo", writeable=True) as memory:
        with pytest.raises(ConfigurationError, match=r"datastore roots are .*None.*; expected one that keeps files"):
            check_opened(memory)
        with pytest.raises(ConfigurationError, match=r"DirectButler with the datastore InMemoryDatastore; expected"):
            stored_files(memory, [])


@pytest.mark.parametrize(
    "call",
    [
        check_opened,
        spherex_butler.observations,
        spherex_butler.summary,
        lambda given: ingest_files(given, ["x.fits"]),
        lambda given: find_images(given, "1 2"),
        check_repository,
    ],
)
@pytest.mark.parametrize("given", ["repo", None, Path("repo")])
def test_what_is_no_butler_is_refused(call, given):
    with pytest.raises(ParameterError, match=r"is a \w+; expected a Butler, such as spherex_butler.open_repo\(REPO\)"):
        call(given)
