"""Butler's own ways from one SPHEREx repository into another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from damage import certify, certify_others, dimension_records, images, path_of, put_dark
from lsst.daf.butler import Butler
from lsst.daf.butler.cli.butler import cli
from made_once import copy_exposures, new_repo

from spherex_butler.ingest import ingest_files
from spherex_butler.verify import Kind, check_repository, repair

ELEMENTS = ("planning_period", "group", "exposure", "exposure_detector_region")


@pytest.fixture
def source(tmp_path) -> Iterator[Butler]:
    """Return a repository with an exposure on disk, another referred to, and a dark."""
    archive = copy_exposures(tmp_path / "archive", exposures=2)
    with new_repo() as butler:
        ingest_files(butler, archive[:6], transfer="copy")
        ingest_files(butler, archive[6:], transfer="direct")
        certify(butler, put_dark(butler))
        certify_others(butler)
        yield butler


@pytest.fixture
def target() -> Iterator[Butler]:
    with new_repo() as butler:
        yield butler


def records(butler: Butler) -> list[dict[str, object]]:
    return [record for element in ELEMENTS for record in dimension_records(butler, element)]


@pytest.mark.parametrize("mode", ["auto", "copy"])
def test_transfer_from_brings_images_and_dimension_records(source, target, mode):
    refs = source.query_datasets("level2", collections="SPHEREx/defaults", with_dimension_records=True)
    done = target.transfer_from(source, refs, transfer=mode, transfer_dimensions=True, register_dataset_types=True)
    assert len(done) == 12
    assert records(target) == records(source)
    report = check_repository(target)
    assert {finding.kind for finding in report.problems} == {Kind.RUN_UNCHAINED}  # Butler knows no chains of releases
    repair(target, report.findings, complete_chains=True)
    assert check_repository(target).ok
    assert [target.get(ref).shape for ref in images(target)] == [(16, 16)] * 12
    inside = [path_of(target, ref).is_relative_to(target._datastore.root.ospath) for ref in images(target)]
    assert inside == [True] * 6 + [mode == "copy"] * 6


def test_transfer_datasets_of_the_command_line(source, target):
    places = [butler._datastore.root.ospath for butler in (source, target)]
    options = ["--collections", "SPHEREx/defaults", "--transfer-dimensions", "--register-dataset-types"]
    done = CliRunner().invoke(cli, ["transfer-datasets", *places, *options])
    assert (done.exit_code, "Number of datasets transferred: 18" in done.output) == (0, True), done.output
    assert records(target) == records(source)


def test_yaml_export_and_import_bring_chains_and_validity_too(source, target, tmp_path):
    with source.export(filename=str(tmp_path / "export.yaml")) as export:
        export.saveDatasets(source.query_datasets("level2", collections="SPHEREx/defaults"))
        export.saveDatasets(source.query_datasets("dark", collections="spx/cal-drk-v4-2025-161"))
        for collection in ("SPHEREx/qr2", "SPHEREx/calib", "SPHEREx/defaults"):
            export.saveCollection(collection)
    target.import_(filename=str(tmp_path / "export.yaml"), directory=source._datastore.root, transfer="copy")
    assert records(target) == records(source)
    assert check_repository(target).ok
    for ref in images(target, detector=3):
        assert target.get("dark", dataId=ref.dataId).shape == (4, 4)
        assert Path(path_of(target, ref)).name.startswith("level2_2025W51_1A_0684_")
