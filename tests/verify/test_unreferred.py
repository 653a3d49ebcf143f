"""The check of folders: files that no record names are listed, and the printed command ingests them."""

from __future__ import annotations

import shutil
from pathlib import Path

from damage import found, images, kinds, path_of, put_dark
from lsst.daf.butler import Butler
from made_once import new_repo
from pasted_commands import commands, execute

from spherex_butler.ingest import ingest_files
from spherex_butler.verify import Kind, check_repository, repair


def forget(butler: Butler, count: int) -> list[Path]:
    """Leave files in their places whose datasets are gone, as a kill before the registration does."""
    refs = images(butler)[:count]
    kept = {path_of(butler, ref): path_of(butler, ref).read_bytes() for ref in refs}
    butler.pruneDatasets(refs, purge=True, unstore=True, disassociate=True)
    for path, data in kept.items():
        path.write_bytes(data)
    return list(kept)


def test_files_that_no_record_names_are_listed_and_the_command_ingests_them(butler):
    paths = forget(butler, 2)
    report = check_repository(butler)
    assert kinds(report) == {Kind.FILE_UNREFERRED}
    assert sorted(finding.subject for finding in report.problems) == sorted(map(str, paths))
    assert repair(butler, report.problems) == []
    assert all(path.exists() for path in paths)
    (command,) = commands(report, butler._datastore.root.ospath)
    assert "2 ingested" in execute(command)
    assert check_repository(butler).ok
    assert len(images(butler)) == 12


def test_other_files_are_noted_in_folders_of_runs_only(butler):
    put_dark(butler)
    path = path_of(butler, images(butler)[0])
    root = Path(butler._datastore.root.ospath)
    path.with_name("notes.txt").write_text("mine")
    (root / "README.txt").write_text("mine")
    (root / "plots").mkdir()
    (root / "plots" / "a.png").write_text("mine")
    report = check_repository(butler)
    message = "is in the folder of a run, but on record for no dataset."
    assert found(report, Kind.FILE_UNREFERRED) == [f"{path.with_name('notes.txt')}: {message}"]
    assert Kind.FILE_UNREFERRED not in kinds(report)


def test_files_of_a_repository_inside_of_this_are_its_own(butler, tmp_path):
    with new_repo() as other:
        shutil.copytree(other._datastore.root.ospath, tmp_path / "other")
    inside = Path(shutil.copytree(tmp_path / "other", Path(butler._datastore.root.ospath, "mine", "inside")))
    product = path_of(butler, images(butler)[0])
    for folder in (inside, inside / "spx" / "run", inside.parent):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(product, folder)
    report = check_repository(butler)
    assert [finding.subject for finding in report.problems] == [str(inside.parent / product.name)]


def test_files_in_the_root_that_are_referred_to_where_they_are_have_a_record(archive):
    with new_repo() as butler:
        folder = Path(butler._datastore.root.ospath) / "my archive"
        folder.mkdir()
        files = [Path(shutil.copy(path, folder)) for path in archive[:2]]
        ingest_files(butler, files[0], transfer="direct")
        ingest_files(butler, files[1])
        assert found(check_repository(butler), Kind.FILE_UNREFERRED) == []
        shutil.copy(archive[2], folder)
        assert len(found(check_repository(butler), Kind.FILE_UNREFERRED)) == 1
