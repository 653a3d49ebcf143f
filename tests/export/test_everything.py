"""Copies of whole repositories: to another database, another place for the files, and back."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from damage import ALWAYS, certify, dimension_records, images, path_of, problems, put_dark, timespans
from forked import Script, start_script
from lsst.daf.butler import Butler, CollectionType, DatasetType, Timespan
from lsst.daf.butler.progress import Progress, ProgressBar, ProgressHandler
from made_once import copy_repo, open_repo
from s3_server import serve_bucket

from spherex_butler import make_repo
from spherex_butler import open_repo as open_for_users
from spherex_butler.errors import ConfigurationError, ParameterError
from spherex_butler.export import CopyReport, copy_repository
from spherex_butler.ingest import ingest_files
from spherex_butler.testing import write_exposures, write_level2
from spherex_butler.testing.repository import temporary_repo

_COPY = """
import sys
from spherex_butler import open_repo
from spherex_butler.export import copy_repository
with open_repo(sys.argv[1]) as source, open_repo(sys.argv[2], writeable=True) as target:
    print(copy_repository(source, target, transfer="copy", batch_size=2))
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with all kinds of things: images, half of them elsewhere, darks, a spectrum, tags, chains."""
    paths = write_exposures(tmp_path_factory.mktemp("archive"), exposures=2, size=16)
    root = copy_repo(tmp_path_factory.mktemp("filled") / "repo")
    with open_repo(root) as butler:
        ingest_files(butler, paths[:6], transfer="copy")
        ingest_files(butler, paths[6:], transfer="direct")
        first, _ = timespans(butler)
        certify(butler, put_dark(butler, 3), Timespan(None, first.end))
        certify(butler, put_dark(butler, 3, "spx/cal-drk-v5-2026-001"), Timespan(first.end, None))
        put_dark(butler, 4)  # and it is never valid
        butler.collections.register("u/me/calib", CollectionType.CALIBRATION, doc="Mine.")
        certify(butler, put_dark(butler, 3, "u/me/dark"), ALWAYS, "u/me/calib")
        butler.collections.register("u/me/best", CollectionType.TAGGED, doc="The best two.")
        butler.registry.associate("u/me/best", images(butler)[1:3])
        spectrum = DatasetType("spectrum", ["instrument", "healpix4"], "VOQTable", universe=butler.dimensions)
        butler.registry.registerDatasetType(spectrum)
        butler.registry.registerDatasetType(
            DatasetType("unused", ["instrument"], "VOTable", universe=butler.dimensions)
        )
        butler.collections.register("u/me/spectra", doc="Spectra of mine.")
        table = QTable({"wavelength": [1, 2] * u.um, "flux": np.array([3.0, 4.0]) * u.Jy})
        butler.put(table, "spectrum", instrument="SPHEREx", healpix4=7, run="u/me/spectra")
        butler.collections.register("u/me/all", CollectionType.CHAINED, doc="All of mine.")
        butler.collections.redefine_chain("u/me/all", ["u/me/spectra", "u/me/best", "SPHEREx/defaults"])
        butler.collections.prepend_chain("SPHEREx/defaults", "u/me/calib")
        record = butler.query_dimension_records("exposure")[0]
        unseen = record.toDict() | {"id": record.id + 7, "obs_id": f"{record.obs_id}_unseen"}
        butler.registry.insertDimensionData("exposure", butler.dimensions["exposure"].RecordClass(**unseen))
    return root


def contents(butler: Butler) -> dict[str, object]:
    """Return all that a repository holds, but where its files are."""
    infos = butler.collections.query_info("*", include_doc=True)
    kinds = {kind.name: kind for kind in butler.registry.queryDatasetTypes()}
    found: dict[str, object] = {
        element.name: dimension_records(butler, element.name)
        for element in butler.dimensions.elements
        if element.has_own_table
    }
    found["collections"] = {info.name: (info.type, info.doc, info.children) for info in infos}
    found["types"] = {name: (kind.dimensions.names, kind.storageClass_name) for name, kind in kinds.items()}
    found["in"] = {
        (info.name, name): sorted((str(row.ref.id), str(row.timespan)) for row in rows)
        for info in infos
        for name, kind in kinds.items()
        if info.type is not CollectionType.CHAINED
        and (rows := list(butler.registry.queryDatasetAssociations(kind, [info.name])))
    }
    return found


def test_everything_is_in_the_copy(source, target):
    report = copy_repository(source, target)
    assert (report.datasets, report.datasets_there, report.certified, report.failed) == (23, 0, 3, [])
    assert contents(target) == contents(source)
    held = contents(source)["in"]
    assert isinstance(held, dict)
    assert {"SPHEREx/calib", "u/me/calib", "u/me/best", "u/me/spectra"} < {collection for collection, _ in held}
    assert problems(target) == problems(source)


def test_datasets_can_be_read_from_the_copy(source, target):
    copy_repository(source, target)
    for ref in images(target):
        assert np.array_equal(target.get(ref).data, source.get(ref).data)
    spectrum = target.get("spectrum", instrument="SPHEREx", healpix4=7, collections="u/me/all")
    assert spectrum["flux"].unit == u.Jy
    assert spectrum["flux"].value.tolist() == [3, 4]


def test_files_stay_where_the_source_refers_to_them(source, target):
    copy_repository(source, target)
    assert [path_of(target, ref) for ref in images(target)[6:]] == [path_of(source, ref) for ref in images(source)[6:]]
    inside = Path(target._datastore.root.ospath)
    assert all(path_of(target, ref).is_relative_to(inside) for ref in images(target)[:6])


def test_files_that_the_source_refers_to_can_be_copied(source, target):
    copy_repository(source, target, transfer="copy")
    inside = Path(target._datastore.root.ospath)
    places = [path_of(target, ref).relative_to(inside) for ref in images(target)]
    assert len(places) == 12
    assert {place.parts[0] for place in places} == {path_of(target, images(target)[0]).relative_to(inside).parts[0]}
    assert problems(target) == problems(source)


def test_distortions_that_the_target_remembers_by_itself_stay(source, target, tmp_path):
    ingest_files(target, write_exposures(tmp_path, exposures=1, size=16), transfer="copy")
    before = {ref.id for ref in target.query_datasets("distortion", "SPHEREx/distortions")}
    report = copy_repository(source, target)
    assert (len(before), report.failed) == (6, [])
    assert {ref.id for ref in target.query_datasets("distortion", "SPHEREx/distortions")} == before


def test_second_copy_finds_all_there(source, target):
    copy_repository(source, target)
    before = contents(target)
    report = copy_repository(source, target)
    assert (report.datasets, report.datasets_there, report.collections, report.certified) == (0, 23, 0, 0)
    assert contents(target) == before


def test_later_copy_adds_what_is_new(source, target):
    copy_repository(source, target)
    put_dark(source, 5)
    source.registry.associate("u/me/best", images(source)[4:5])
    report = copy_repository(source, target)
    assert (report.datasets, report.datasets_there, report.failed) == (1, 23, [])
    assert contents(target) == contents(source)


def test_image_that_comes_in_meanwhile_comes_along_with_its_records(source, target, tmp_path, monkeypatch):
    late = [write_level2(tmp_path, obs_id="2026W02_1A_0001_1", detector=2, size=16)]
    register = type(target.collections).register

    def ingest_first(*arguments: object, **options: object) -> bool:  # after the records, before the datasets
        if late:
            ingest_files(source, late.pop(), transfer="copy")
        return register(*arguments, **options)

    monkeypatch.setattr(type(target.collections), "register", ingest_first)
    report = copy_repository(source, target)
    assert (report.datasets, report.failed) == (24, [])
    assert contents(target) == contents(source)


class Meanwhile(ProgressHandler, ProgressBar):
    """What others do when datasets have been copied, and before their collections are."""

    def __init__(self, change: Callable[[], None]) -> None:
        self._change = change

    @contextmanager
    def get_progress_bar(self, _iterable, desc, **_):
        yield self
        if desc == "Copying datasets":
            self._change()

    def __iter__(self):
        raise AssertionError("Datasets are counted, not iterated over.")

    def update(self, n=1):
        pass


@pytest.fixture
def meanwhile(caplog) -> Iterator[Callable[[Callable[[], None]], None]]:
    caplog.set_level(logging.INFO, "spherex_butler.export.everything")  # of progress, too
    yield lambda change: Progress.set_handler(Meanwhile(change))
    Progress.set_handler(None)


def test_collections_that_come_in_meanwhile_wait_for_the_next_copy(source, target, tmp_path, meanwhile):
    late = write_level2(tmp_path, obs_id="2026W02_1A_0001_1", detector=2, size=16)

    def change() -> None:
        ingest_files(source, late, transfer="copy")
        source.collections.register("u/me/late", CollectionType.TAGGED)
        source.registry.associate("u/me/late", images(source)[:1])
        source.collections.register("u/me/later", CollectionType.CALIBRATION)
        certify(source, source.find_dataset("dark", detector=4, collections="spx/*"), ALWAYS, "u/me/later")
        source.collections.prepend_chain("u/me/all", "u/me/late")

    before = contents(source)
    meanwhile(change)
    report = copy_repository(source, target)
    Progress.set_handler(None)
    assert (report.datasets, report.failed) == (23, [])
    assert contents(target) == before
    report = copy_repository(source, target)
    assert (report.datasets, report.datasets_there, report.failed) == (1, 23, [])
    assert contents(target) == contents(source)


def test_what_only_the_target_has_stays(source, target):
    theirs = put_dark(target, 6, "u/you/dark")
    target.collections.prepend_chain("SPHEREx/defaults", "u/you/dark")
    copy_repository(source, target)
    assert target.get_dataset(theirs.id) is not None
    assert target.collections.get_info("SPHEREx/defaults").children == (
        "u/you/dark",
        *source.collections.get_info("SPHEREx/defaults").children,
    )


def test_dry_run_changes_nothing(source, target):
    before = contents(target)
    report = copy_repository(source, target, dry_run=True)
    assert (report.datasets, report.certified, report.failed) == (23, 0, [])
    assert contents(target) == before


def test_dataset_whose_file_is_gone_keeps_no_other_out(source, target):
    lost = images(source)[1]  # which is tagged
    path_of(source, lost).unlink()
    report = copy_repository(source, target)
    (failure,) = report.failed
    assert failure.dataset == f"level2 detector=2 exposure={lost.dataId['exposure']} in {lost.run} ({lost.id})"
    assert "is not there" in failure.reason
    assert (report.datasets, report.certified) == (22, 3)
    assert [row.ref.id for row in target.registry.queryDatasetAssociations("level2", ["u/me/best"])] == [
        images(source)[2].id
    ]


def test_calibration_whose_file_is_gone_is_valid_never(source, target):
    mine = source.find_dataset("dark", instrument="SPHEREx", detector=3, collections="u/me/dark")
    path_of(source, mine).unlink()
    report = copy_repository(source, target)
    assert ["dark detector=3 in u/me/dark" in failure.dataset for failure in report.failed] == [True]
    assert list(target.registry.queryDatasetAssociations("dark", ["u/me/calib"])) == []
    assert report.certified == 2


def test_move_to_postgresql_and_s3_and_back(source, target, postgres_database, tmp_path):
    wanted, wrong = contents(source), problems(source)
    with (
        serve_bucket("mission") as bucket,
        make_repo(tmp_path / "middle", database=postgres_database, datastore_root=f"{bucket.url}/sky") as middle,
    ):
        assert copy_repository(source, middle, transfer="copy").failed == []
        assert contents(middle) == wanted
        assert {middle.getURI(ref).scheme for ref in images(middle)} == {"s3"}
        assert problems(middle) == wrong
        assert copy_repository(middle, target).failed == []
    assert contents(target) == wanted
    assert problems(target) == wrong
    assert [target.get(ref).shape for ref in images(target)] == [(16, 16)] * 12


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3])
def test_killed_copy_is_finished_by_the_next(source, target, tmp_path, delay):
    script = start_copy(source, target, tmp_path)
    while script.runs and not any(Path(target._datastore.root.ospath).glob("spx/**/*.fits")):
        time.sleep(0.01)
    time.sleep(delay)
    script.kill()
    report = copy_repository(source, target, transfer="copy")
    assert (report.datasets + report.datasets_there, report.failed) == (23, [])
    assert contents(target) == contents(source)
    assert problems(target) == problems(source)


def test_copy_into_a_repository_with_more_dimensions(source, with_mosaics):
    with temporary_repo(dimensions=with_mosaics) as target:
        assert copy_repository(source, target).failed == []
        assert problems(target) == problems(source)


def test_target_that_lacks_a_dimension_is_refused(target, with_mosaics):
    with (
        temporary_repo(dimensions=with_mosaics) as source,
        pytest.raises(ConfigurationError, match="has no mosaic, which"),
    ):
        copy_repository(source, target)


def test_read_only_target_is_refused(source, target):
    with (
        open_for_users(target._datastore.root) as reader,
        pytest.raises(ConfigurationError, match="The target repository is read-only here; open it with"),
    ):
        copy_repository(source, reader)


def test_repository_is_not_copied_to_itself(source):
    with open_repo(source._datastore.root) as same, pytest.raises(ParameterError, match="The source is the target"):
        copy_repository(source, same)


def test_arguments_that_make_no_sense_are_refused(source, target):
    with pytest.raises(ParameterError, match="not transferred by 'move'; expected one of auto, copy, link"):
        copy_repository(source, target, transfer="move")
    with pytest.raises(ParameterError, match="batch_size=0"):
        copy_repository(source, target, batch_size=0)


def test_report_of_an_interrupted_copy_says_what_was_done(source, target, monkeypatch):
    def interrupt(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(type(target.registry), "associate", interrupt)
    report = CopyReport()
    with pytest.raises(KeyboardInterrupt):
        copy_repository(source, target, report=report)
    assert (report.datasets, report.done > 23) == (23, True)


def start_copy(source: Butler, target: Butler, folder: Path) -> Script:
    return start_script(_COPY, *(butler._datastore.root.ospath for butler in (source, target)), folder=folder)
