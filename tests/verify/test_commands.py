"""Commands that remove datasets: pasted into a shell, they remove exactly those that the report lists."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from damage import DARK_RUN, certify, damage, hex_of, images, lose_regions, path_of, put_dark
from lsst.daf.butler import Butler, CollectionType, DataCoordinate, DatasetRef, DatasetType, DimensionUniverse
from made_once import open_repo
from pasted_commands import commands, execute

from spherex_butler import dimension_config
from spherex_butler.ingest import ingest_files
from spherex_butler.verify import check_repository
from spherex_butler.verify.commands import prune_commands

RUN = "spx/l2b-v21-2025-354"


def contents(folder: Path) -> dict[Path, bytes]:
    """Return all files of a repository but its database."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("gen3.sqlite3")]
    return {path.relative_to(folder): path.read_bytes() for path in files}


def stored(butler: Butler) -> dict[DatasetRef, bool]:
    """Return all datasets, and whether a file of each is on record."""
    darks = butler.query_datasets("dark", "spx/*", find_first=False, explain=False)
    refs = [*butler.query_datasets("level2", RUN), *darks]
    return {ref: bool(butler._datastore.knows(ref)) for ref in refs}


def ranges(butler: Butler) -> set[tuple[DatasetRef, object]]:
    found = butler.registry.queryDatasetAssociations("dark", collections="SPHEREx/calib")
    return {(one.ref, one.timespan) for one in found}


@pytest.fixture
def mixed(butler: Butler) -> Butler:
    """Return a repository of images and calibrations, with tags, and two runs of darks."""
    for detector in range(1, 7):
        certify(butler, put_dark(butler, detector))
        put_dark(butler, detector, run="spx/cal-drk-v5-2026-001")
    butler.collections.register("u/me/tagged", CollectionType.TAGGED)
    butler.registry.associate("u/me/tagged", images(butler))
    butler.collections.register("u/me/mine", CollectionType.CHAINED)
    butler.collections.prepend_chain("u/me/mine", [RUN, DARK_RUN])
    return butler


def test_pasted_commands_give_up_exactly_the_lost_files(image_repo, tmp_path, run_clean, archive):
    repo = shutil.copytree(image_repo, tmp_path / "a friend's (new) repo")
    with open_repo(repo) as butler:
        for detector in range(1, 7):
            certify(butler, put_dark(butler, detector))
        first, *_, last = images(butler)
        (dark,) = butler.query_datasets("dark", DARK_RUN, where="detector = 4")
        lost = {first, last, dark}
        for ref in lost:
            path_of(butler, ref).unlink()
        text = "\n".join(commands(check_repository(butler), str(repo)))
        before, files, valid = stored(butler), contents(repo), ranges(butler)
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    run_clean("bash", "-c", f"set -e\n{text.replace('--unstore', '--unstore --no-confirm')}", PATH=path)
    with open_repo(repo) as butler:
        assert len(before) == 18
        assert stored(butler) == {ref: ref not in lost for ref in before}
        assert (contents(repo), ranges(butler)) == (files, valid)
        # What was given up comes back as the same datasets.
        assert {*ingest_files(butler, archive, transfer="copy").ingested} == {first, last}


def _lose_file(path: Path) -> None:
    path.unlink()


def _cut_file(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:2880])


@pytest.mark.parametrize("spoil", [_lose_file, _cut_file])
@pytest.mark.parametrize("regions", [True, False], ids=["with regions", "without region rows"])
def test_command_touches_what_is_listed_and_nothing_else(mixed, spoil, regions):
    wanted = {*images(mixed, detector=3), images(mixed, detector=5)[1]}
    wanted |= {*mixed.query_datasets("dark", "spx/cal-drk-v5-2026-001", where="detector IN (2, 6)")}
    before, root, valid = stored(mixed), Path(mixed._datastore.root.ospath), ranges(mixed)
    paths = {path_of(mixed, ref).relative_to(root) for ref in wanted}
    for path in paths:
        spoil(root / path)
    if not regions:
        lose_regions(mixed)
    files = contents(root)
    found = commands(check_repository(mixed), str(root))
    assert len(found) == 2
    for command in found:
        execute(command)
    assert stored(mixed) == {ref: ref not in wanted for ref in before}
    assert contents(root) == {path: data for path, data in files.items() if path not in paths}
    assert ranges(mixed) == valid
    assert len(mixed.query_datasets("level2", "u/me/tagged")) == 12


def test_datasets_without_file_on_record_are_purged_with_their_validity_and_no_others(mixed):
    root = Path(mixed._datastore.root.ospath)
    (dark,) = mixed.query_datasets("dark", DARK_RUN, where="detector = 2")
    gone = {dark, images(mixed)[0]}
    before, valid = stored(mixed), ranges(mixed)
    for ref in gone:
        path_of(mixed, ref).unlink()
        damage(mixed, f"DELETE FROM dataset_location WHERE dataset_id = '{hex_of(ref)}'")
        damage(mixed, f"DELETE FROM file_datastore_records WHERE dataset_id = '{hex_of(ref)}'")
    for command in commands(check_repository(mixed), str(root)):
        assert "--purge" in command
        execute(command)
    assert {*stored(mixed)} == {*before} - gone
    assert ranges(mixed) == {one for one in valid if one[0] != dark}


def test_file_outside_of_the_repository_is_forgotten_and_stays(empty_repo, archive, tmp_path):
    file = Path(shutil.copy(archive[0], tmp_path))
    with open_repo(empty_repo) as butler:
        ingest_files(butler, [file, *archive[1:]], transfer="direct")
        _cut_file(file)
        (command,) = commands(check_repository(butler), str(empty_repo))
        execute(command)
        assert sorted(stored(butler).values()) == [False, *[True] * 11]
    assert file.stat().st_size == 2880
    assert all(path.exists() for path in archive)


def _many(count: int) -> Iterator[DatasetRef]:
    universe = DimensionUniverse(dimension_config())
    kind = DatasetType("mine", ("exposure", "detector"), "int", universe=universe)
    for number in range(count):
        exposure, detector = 20255110106842 + number // 6, 1 + number % 6
        data_id = DataCoordinate.standardize(
            instrument="SPHEREx", exposure=exposure, detector=detector, dimensions=kind.dimensions
        )
        yield DatasetRef(kind, data_id, run="u/me/mine")


def test_many_datasets_are_split_into_commands_that_a_shell_takes():
    found = prune_commands(_many(1200), "repo", purge=False)
    assert len(found) == 3
    assert max(map(len, found)) < 16_000
    assert all(command.count(" OR ") == 5 for command in found)
