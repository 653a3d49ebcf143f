"""Lost and damaged files come back from copies of them; nothing else is touched, and nothing is lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import command_line
import pytest
from damage import images, path_of
from http_server import serve
from lsst.daf.butler import Butler, DatasetRef
from made_once import new_repo

from spherex_butler.errors import ParameterError
from spherex_butler.ingest import ingest_files
from spherex_butler.verify import Repair, check_repository, repair


def restored(butler: Butler, *paths: object, **checks: bool) -> list[Repair]:
    return repair(butler, check_repository(butler, **checks).findings, sources=[str(path) for path in paths])


def copy_of(butler: Butler, ref: DatasetRef, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(path_of(butler, ref), folder))


def others(path: Path) -> list[Path]:
    """Return what is kept of a file beside it."""
    return list(path.parent.glob(f"{path.name}.damaged-*"))


@pytest.fixture
def backup(butler, tmp_path):
    """Return a folder with copies of all files, in folders of its own."""
    for ref in images(butler):
        copy_of(butler, ref, tmp_path / "backup" / str(ref.dataId["detector"]))
    return tmp_path / "backup"


def test_lost_files_come_back_from_folders_and_lie_where_they_lay(butler, backup):
    first, second, *_ = images(butler)
    before = {path: path.read_bytes() for path in (path_of(butler, first), path_of(butler, second))}
    for path in before:
        path.unlink()
    done = restored(butler, backup)
    assert [one.done for one in done] == [True, True]
    assert done[0].message == f"{path_of(butler, first)} is back, from {(backup / '1' / path_of(butler, first).name)}."
    assert {path: path.read_bytes() for path in before} == before
    assert check_repository(butler, headers=True).ok


def test_damaged_file_is_kept_beside_the_right_one(butler, backup):
    ref = images(butler)[3]
    path = path_of(butler, ref)
    right = path.read_bytes()
    path.write_bytes(b"half")
    (done,) = restored(butler, backup)
    assert done.done
    (kept,) = others(path)
    assert f"What was there is {kept} now." in done.message
    assert (path.read_bytes(), kept.read_bytes()) == (right, b"half")
    assert check_repository(butler).ok


def test_source_of_a_hard_link_is_not_touched(butler, backup, tmp_path):
    ref = images(butler)[3]
    path = path_of(butler, ref)
    theirs = tmp_path / "theirs.fits"
    theirs.hardlink_to(path)
    path.write_bytes(b"half")  # of both
    assert restored(butler, backup)[0].done
    assert theirs.read_bytes() == b"half"


def test_link_that_leads_nowhere_is_replaced(butler, backup):
    path = path_of(butler, images(butler)[0])
    path.unlink()
    path.symlink_to("/no/such/file")
    (done,) = restored(butler, backup)
    assert done.done
    assert not path.is_symlink()
    assert others(path)[0].is_symlink()


def test_file_of_another_dataset_is_replaced_by_the_right_one(butler, backup):
    first, second, *_ = images(butler)
    path = path_of(butler, first)
    right = path.read_bytes()
    shutil.copy(path_of(butler, second), path)
    assert restored(butler, backup) == []  # nothing is wrong as far as was looked
    (done,) = restored(butler, backup, headers=True)
    assert done.done
    assert path.read_bytes() == right


def test_copy_of_another_size_is_refused_with_both(butler, tmp_path):
    path = path_of(butler, images(butler)[0])
    size = path.stat().st_size
    copy = copy_of(butler, images(butler)[0], tmp_path / "backup")
    copy.write_bytes(copy.read_bytes()[:-2880])
    path.unlink()
    (left,) = restored(butler, copy)
    assert not left.done
    assert left.message == f"{copy} has {size - 2880} bytes; {size} are on record."
    assert not path.exists()


def test_copy_with_the_header_of_another_image_is_refused(butler, tmp_path):
    first, second, *_ = images(butler)
    path = path_of(butler, first)
    path.unlink()
    wrong = tmp_path / path.name
    shutil.copy(path_of(butler, second), wrong)
    (left,) = restored(butler, tmp_path)
    assert not left.done
    assert f"{wrong} is of another dataset: " in left.message
    assert "expected (20255110106842, 1)" in left.message
    assert not path.exists()


def test_first_right_one_of_several_copies_is_taken(butler, backup, tmp_path):
    path = path_of(butler, images(butler)[0])
    path.rename(tmp_path / "away")
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong" / path.name).write_bytes(b"half")
    (done,) = restored(butler, tmp_path / "wrong", backup)
    assert done.done
    assert path.read_bytes() == (tmp_path / "away").read_bytes()


def test_checksum_on_record_decides(archive, tmp_path):
    with new_repo() as butler:
        butler._datastore.useChecksum = True
        ingest_files(butler, archive[:1], transfer="copy")
        (ref,) = images(butler)
        path = path_of(butler, ref)
        right = path.read_bytes()
        (tmp_path / "wrong").mkdir()
        (tmp_path / "right").mkdir()
        (tmp_path / "right" / path.name).write_bytes(right)
        damaged = right[:-1] + bytes([right[-1] ^ 1])
        (tmp_path / "wrong" / path.name).write_bytes(damaged)
        path.write_bytes(damaged)
        (left,) = restored(butler, tmp_path / "wrong", checksum=True)
        assert not left.done
        assert " has the checksum " in left.message
        assert path.read_bytes() == damaged
        (done,) = restored(butler, tmp_path / "wrong", tmp_path / "right", checksum=True)
        assert done.done
        assert path.read_bytes() == right


def test_remote_copy_is_fetched(butler, backup):
    path = path_of(butler, images(butler)[0])
    right = path.read_bytes()
    path.unlink()
    with serve(backup / "1") as served:
        (done,) = restored(butler, f"{served.url}/{path.name}")
    assert done.done
    assert path.read_bytes() == right


def test_given_up_file_is_stored_again_under_the_same_id(butler, backup):
    ref = images(butler)[2]
    path = path_of(butler, ref)
    butler.pruneDatasets([ref], unstore=True, disassociate=False)
    assert not path.exists()
    (done,) = restored(butler, backup)
    assert done.done, done
    assert check_repository(butler, headers=True).ok
    assert butler.get(ref).meta["DETECTOR"] == 3
    assert path_of(butler, ref) == path


def test_file_outside_of_the_repository_is_left_to_its_owner(archive, tmp_path):
    with new_repo() as butler:
        theirs = Path(shutil.copy(archive[0], tmp_path))
        ingest_files(butler, [theirs], transfer="direct")
        theirs.unlink()
        (left,) = restored(butler, archive[0])
    assert not left.done
    assert "is outside of the repository, which writes nothing there; put a copy there." in left.message
    assert not theirs.exists()


def test_damaged_file_is_no_copy_of_itself(butler):
    path = path_of(butler, images(butler)[0])
    path.write_bytes(b"half")
    (left,) = restored(butler, path.parent)
    assert left.message == f"nothing by the name {path.name} was found to restore it from."
    assert path.read_bytes() == b"half"


def test_place_to_look_that_does_not_exist_is_told_before_anything_is_done(butler, backup, tmp_path):
    path = path_of(butler, images(butler)[0])
    path.unlink()
    with pytest.raises(
        ParameterError, match=r"Copies of lost files cannot be looked for in .*nowhere: there is no such"
    ):
        restored(butler, backup, tmp_path / "nowhere")
    assert not path.exists()


def test_command_brings_files_back(image_repo, archive, tmp_path):
    repo = shutil.copytree(image_repo, tmp_path / "repo")
    with Butler.from_config(str(repo)) as butler:
        path = path_of(butler, images(butler)[0])
    path.unlink()
    said = command_line.run("verify", repo, "--fix", "--from", archive[0].parent)
    assert f"{path} is back, from {archive[0].parent}" in said
    assert "no problems" in command_line.run("verify", repo)
    refused = command_line.run("verify", repo, "--from", tmp_path, code=2)
    assert "--from says where to repair from; give --fix, too." in refused
