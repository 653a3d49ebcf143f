"""Lost and damaged files come back from copies of them; nothing else is touched, and nothing is lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import command_line
import numpy as np
import pytest
from astropy.nddata import CCDData
from damage import DARK_RUN, images, kinds, path_of, put_dark
from http_server import serve
from lsst.daf.butler import Butler, DatasetRef, DatasetType
from made_once import new_repo

from spherex_butler.errors import ParameterError
from spherex_butler.ingest import ingest_files
from spherex_butler.verify import Kind, Repair, check_repository, repair


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
    assert f"{wrong} is damaged, or of another dataset: " in left.message
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


@pytest.mark.parametrize("lost", [1, 2880, 30_000])
def test_cut_copy_of_a_given_up_file_is_refused(butler, backup, lost):
    ref = images(butler)[2]
    path = path_of(butler, ref)
    butler.pruneDatasets([ref], unstore=True, disassociate=False)
    (copy,) = backup.rglob(path.name)
    copy.write_bytes(copy.read_bytes()[:-lost])
    (left,) = restored(butler, backup)
    assert not left.done
    assert f"{copy} is damaged, or of another dataset: " in left.message
    assert "is truncated in HDU" in left.message
    assert not path.exists()
    assert kinds(check_repository(butler)) == {Kind.NOT_STORED}


def test_cut_copy_of_a_given_up_calibration_is_refused(tmp_path):
    with new_repo() as butler:
        ref = put_dark(butler)
        path = path_of(butler, ref)
        right = path.read_bytes()
        butler.pruneDatasets([ref], unstore=True, disassociate=False)
        copy = tmp_path / path.name
        copy.write_bytes(right[: len(right) // 2])
        (left,) = restored(butler, copy)
        assert not left.done
        assert "is truncated" in left.message
        copy.write_bytes(right)
        (done,) = restored(butler, copy)
        assert done.done, done
        assert butler.get(ref).shape == (4, 4)


def test_copy_of_the_right_size_has_to_be_what_its_type_holds(tmp_path):
    with new_repo() as butler:
        butler.collections.register(DARK_RUN)
        ref = butler.put({"gain": 1.5}, "gain_factors", instrument="SPHEREx", run=DARK_RUN)
        path = path_of(butler, ref)
        right = path.read_bytes()
        path.unlink()
        copy = tmp_path / path.name
        copy.write_bytes(b"x" * len(right))
        (left,) = restored(butler, copy)
        assert not left.done
        assert "holds str; expected a YAML mapping." in left.message
        copy.write_bytes(right)
        assert restored(butler, copy)[0].done
        assert butler.get(ref) == {"gain": 1.5}


def test_cut_copy_of_a_given_up_file_of_a_users_own_type_is_refused(tmp_path):
    with new_repo() as butler:
        butler.registry.registerDatasetType(DatasetType("own", ["instrument"], "CCDData", universe=butler.dimensions))
        butler.collections.register("u/me")
        image = CCDData(np.zeros((64, 64), np.float32), unit="electron")
        ref = butler.put(image, "own", instrument="SPHEREx", run="u/me")
        path = path_of(butler, ref)
        right = path.read_bytes()
        butler.pruneDatasets([ref], unstore=True, disassociate=False)
        copy = tmp_path / path.name
        copy.write_bytes(right[: len(right) // 2])
        (left,) = restored(butler, copy)
        assert "is truncated" in left.message
        copy.write_bytes(right)
        assert restored(butler, copy)[0].done


@pytest.mark.parametrize("obstacle", [Path.mkdir, lambda path: path.symlink_to(path)])
def test_what_is_no_file_is_kept_beside_the_right_one(butler, backup, obstacle):
    path = path_of(butler, images(butler)[0])
    right = path.read_bytes()
    path.unlink()
    obstacle(path)
    (done,) = restored(butler, backup)
    assert done.done, done
    assert path.read_bytes() == right
    assert len(others(path)) == 1
    assert check_repository(butler).ok


def test_folder_with_files_in_place_of_a_file_is_not_moved(butler, backup):
    path = path_of(butler, images(butler)[0])
    path.unlink()
    path.mkdir()
    (path / "notes.txt").write_text("mine")
    (left,) = restored(butler, backup)
    assert left.message == (f"{path} is a folder with files in it; expected a file. Move it away and repair again.")
    assert (path / "notes.txt").read_text() == "mine"


def test_each_copy_is_refused_once_and_in_one_sentence(butler, backup, tmp_path):
    path = path_of(butler, images(butler)[0])
    path.write_bytes(b"half")
    places = [tmp_path / name / path.name for name in ("first", "second")]
    for place in places:
        place.parent.mkdir()
        place.write_bytes(b"quarter")
    size = next(backup.rglob(path.name)).stat().st_size
    (left,) = restored(butler, *places, tmp_path / "first")
    said = "; ".join(f"{place} has 7 bytes; {size} are on record" for place in places)
    assert left.message == f"{said}."


def test_copy_that_cannot_be_read_is_said_to_be_so_and_the_next_is_taken(butler, backup, tmp_path):
    path = path_of(butler, images(butler)[0])
    path.unlink()
    first = tmp_path / "first" / path.name
    first.parent.mkdir()
    first.symlink_to(first)
    (left,) = restored(butler, first)
    assert left.message.startswith(f"{first} cannot be read: OSError: ")
    assert restored(butler, first, backup)[0].done


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
