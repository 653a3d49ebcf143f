"""Ingest: no file is lost, whatever the repository holds, whoever else writes, and whenever it is killed."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from forked import start_script
from http_server import serve
from lsst.daf.butler import Butler, DatasetRef, FileDataset
from lsst.resources import ResourcePath

from spherex_butler.errors import ConfigurationError, ParameterError
from spherex_butler.files.placement import resolve_transfer
from spherex_butler.ingest import execute, ingest_files, plan_files, preview_ingest
from spherex_butler.repository.registration import stored_files


def test_move_keeps_the_source_while_an_earlier_dataset_is_being_removed(butler, files):
    (ref,) = ingest_files(butler, files[0], transfer="copy").ingested
    # As a removal leaves it that is killed before it deletes files.
    butler._datastore.bridge.moveToTrash([ref], transaction=None)
    butler._registry.removeDatasets([ref])
    (failure,) = ingest_files(butler, files[0], transfer="move").failed
    assert "are being removed by another process" in failure.reason
    assert files[0].exists()
    butler._datastore.emptyTrash()
    assert len(ingest_files(butler, files[0], transfer="move").ingested) == 1
    assert readable(butler) == 1


def readable(butler: Butler) -> int:
    refs = butler.query_datasets("level2", collections="SPHEREx/defaults", explain=False)
    return len([butler.get(ref) for ref in refs])


# What a move must not remove.


def test_move_of_a_file_that_is_in_its_place_keeps_it(butler, files, unregistered_target):
    target = unregistered_target(files[0])
    files[0].rename(target)
    report = ingest_files(butler, target, transfer="move")
    assert "was ingested but not removed: it is the repository's file" in report.warnings[0]
    assert readable(butler) == 1


def test_move_of_a_file_that_the_repository_links_to_keeps_it(butler, files, unregistered_target):
    unregistered_target(files[0]).symlink_to(files[0])
    report = ingest_files(butler, files[0], transfer="move")
    assert "or that is a link to it" in report.warnings[0]
    assert (files[0].exists(), readable(butler)) == (True, 1)


def test_source_that_cannot_be_removed_is_a_warning(butler, files, monkeypatch):
    unlink = Path.unlink

    def refuse(path, **options):
        if path.parent == files[0].parent:
            raise PermissionError(f"Not allowed to remove {path}")
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", refuse)  # permissions do not stop root
    report = ingest_files(butler, files, transfer="move")
    assert (len(report.ingested), report.failed) == (6, [])
    assert "was ingested but not removed: Not allowed to remove" in report.warnings[0]
    assert readable(butler) == 6


# What the repository may hold.


def test_dataset_whose_file_is_gone_is_reported(butler, files):
    ingest_files(butler, files[0], transfer="symlink")
    elsewhere = files[0].rename(files[0].parent.parent / files[0].name)
    report = ingest_files(butler, [elsewhere, files[1]], transfer="symlink")
    assert "is gone; 'butler spherex verify' prints the command that gives it up" in report.failed[0].reason
    assert len(report.ingested) == 1


def test_dataset_whose_file_was_given_up_is_stored_again(butler, files):
    (ref,) = ingest_files(butler, files[0], transfer="copy").ingested
    butler.pruneDatasets([ref], unstore=True, disassociate=False, purge=False)
    assert len(ingest_files(butler, files[0], transfer="copy").ingested) == 1
    assert readable(butler) == 1


def test_read_only_repository_is_refused_before_anything_is_read(butler):
    with Butler.from_config(butler._datastore.root, writeable=False) as reader:
        with pytest.raises(ConfigurationError, match=r"read-only here; open it with spherex_butler\.open_repo"):
            ingest_files(reader, "no such file")
        with pytest.raises(ConfigurationError, match="read-only here"):
            execute(reader, [])


def test_repository_without_the_dataset_type_is_refused(butler):
    butler.registry.removeDatasetType("level2")
    with pytest.raises(
        ConfigurationError, match="no dataset type 'level2'; expected what 'butler spherex register REPO' adds"
    ):
        ingest_files(butler, "no such file")


# Transfer modes that are for local files.


@pytest.mark.parametrize("mode", ["move", "link", "hardlink", "symlink", "relsymlink"])
def test_remote_file_cannot_be_linked_or_moved(butler, files, mode):
    with serve(files[0].parent) as served:
        planned, _ = plan_files(f"{served.url}/{files[0].name}")
        before = len(served.requests)
        failures = execute(butler, planned, transfer=mode).failed
        assert len(served.requests) == before
        assert preview_ingest(butler, planned[0].uri, transfer=mode).failed == failures
    assert f"by 'copy' or stays there by 'direct'; transfer mode '{mode}' is for local files" in failures[0].reason


def test_remote_repository_cannot_hold_links():
    root = ResourcePath("s3://bucket/repo/")
    with pytest.raises(ParameterError, match="transfer mode 'symlink' is for local files"):
        resolve_transfer("symlink", ResourcePath("/data/level2.fits"), root)
    assert resolve_transfer("move", ResourcePath("/data/level2.fits"), root) == "move"
    assert resolve_transfer("auto", ResourcePath("/data/level2.fits"), root) == "copy"


# Other processes, and sudden ends.

INGEST = """
import sys
from lsst.daf.butler import Butler
from spherex_butler.ingest import ingest_files, preview_ingest

repo, files, transfer = sys.argv[1:]
with Butler.from_config(repo, writeable=True) as butler:
    ingest_files(butler, files, transfer=transfer)
"""


def test_two_processes_that_move_the_same_files_lose_none(files, tmp_path, empty_repo):
    given = (INGEST, empty_repo, files[0].parent, "move")
    scripts = [start_script(*given, folder=tmp_path / "elsewhere") for _ in range(2)]
    assert [script.wait() for script in scripts] == [0, 0], [script.said for script in scripts]
    with Butler.from_config(empty_repo) as butler:
        assert readable(butler) == 6


@pytest.mark.parametrize("killed_at", ["import_datasets", "remove_source"])
def test_same_command_finishes_what_was_killed(files, tmp_path, empty_repo, killed_at):
    given = (INGEST, empty_repo, files[0].parent, "move")
    killed = start_script(*given, folder=tmp_path / "elsewhere", killed_at=killed_at)
    assert killed.wait() == -signal.SIGKILL
    assert all(path.exists() for path in files)
    again = start_script(*given, folder=tmp_path / "elsewhere")
    assert again.wait() == 0, again.said
    assert list(files[0].parent.iterdir()) == []
    with Butler.from_config(empty_repo) as butler:
        assert readable(butler) == 6


def test_move_of_what_is_there_under_another_address_keeps_it(butler, files):
    ingest_files(butler, files, transfer="direct")
    report = ingest_files(butler, files, transfer="move")
    assert (len(report.skipped), report.warnings) == (6, [])
    assert all(path.exists() for path in files)


@pytest.mark.parametrize("transfer", ["copy", "direct"])
def test_record_of_a_file_is_what_butler_would_write(butler, files, transfer):
    butler._datastore.useChecksum = True
    (ours,) = ingest_files(butler, files[0], transfer=transfer).ingested
    (written,) = stored_files(butler, [ours])[ours.id]
    butler.collections.register("u/test")
    ref = DatasetRef(ours.datasetType, ours.dataId, run="u/test")
    uri = butler.getURI(ours)
    butler.ingest(FileDataset(uri, [ref]), transfer="direct" if transfer == "direct" else None)
    (expected,) = stored_files(butler, [ref])[ref.id]
    assert written == expected
    assert written.file_size == files[0].stat().st_size
    assert len(written.checksum) == 128


def test_move_that_was_killed_at_its_end_is_already_there(butler, files):
    ingest_files(butler, files, transfer="move")
    assert not any(path.exists() for path in files)
    assert ingest_files(butler, files, transfer="move").summary == "0 ingested, 6 already there, 0 failed"
    preview = preview_ingest(butler, files, transfer="move")
    assert preview.failed == []
    assert ["was moved before" in warning for warning in preview.warnings] == [True] * 6


def test_folder_that_was_moved_from_is_empty_without_failure(butler, files):
    ingest_files(butler, files[0].parent, transfer="move")
    for function in (ingest_files, preview_ingest):
        report = function(butler, files[0].parent, transfer="move")
        assert report.failed == []
        assert "there is no level2_*.fits in this folder. Nothing is left to be moved." in report.warnings[0]


def test_file_that_is_gone_and_was_never_ingested_fails(butler, files):
    ingest_files(butler, files[:5], transfer="move")
    files[5].unlink()
    for transfer in ("move", "copy"):
        report = ingest_files(butler, files[5], transfer=transfer)
        assert "there is no such file" in report.failed[0].reason
    assert len(ingest_files(butler, files[0], transfer="copy").failed) == 1


def test_version_newer_than_all_known_is_told_once_and_a_release_overrides(butler, files):
    newer = [path.rename(path.with_name(path.name.replace("v21-2025-354", "v29-2027-100"))) for path in files]
    for function in (preview_ingest, ingest_files):
        (warning,) = function(butler, newer).warnings
        assert warning.startswith("l2b-v29-2027-100: version 29 is newer than 27, the newest known of 'l2b', so it is")
        assert function(butler, newer, release="qr2").warnings == []
