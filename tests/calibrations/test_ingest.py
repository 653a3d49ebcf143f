"""Calibrations into a real repository: every product comes back, under its own name, once; the rest says why not."""

from __future__ import annotations

import logging
import shutil
import signal
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
import yaml
from astropy.io import fits
from astropy.nddata import CCDData
from calibration_repositories import DARK, ranges
from damage import ALWAYS, path_of
from forked import start_script
from http_server import serve
from lsst.daf.butler import Butler, CollectionType, DatasetRef, DatasetType
from made_once import new_repo
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from spherex_butler.calibrations.archive_ids import derived_id, find_by_archive_id
from spherex_butler.calibrations.ingest import CalibrationIngestReport, ingest_calibrations
from spherex_butler.calibrations.queries import calibrations_at
from spherex_butler.calibrations.runs import calibration_chain_of
from spherex_butler.calibrations.validity import certify, decertify
from spherex_butler.constants import CALIBRATION_COLLECTION
from spherex_butler.errors import ConfigurationError, ParameterError
from spherex_butler.formats.fits.lazy_header import LazyHeader
from spherex_butler.images.psf import SpectralImagePSF
from spherex_butler.images.wavelengths import WavelengthTable
from spherex_butler.names import parse_product_name
from spherex_butler.repository.runs import release_spans
from spherex_butler.testing import CALIBRATION_TYPES, make_spectral_image, write_calibration, write_calibrations

LATER_DARK = "cal-drk-v5-2026-001"
GAINS_IN_THE_ARCHIVE = uuid.UUID("74478304-abf1-4a9c-9eb2-926090a84446")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive's tree of both releases, detectors 2 and 3."""
    folder = tmp_path_factory.mktemp("archive")
    for release in ("qr2", "qr3"):
        write_calibrations(folder, detectors=[2, 3], release=release)
    return folder


@pytest.fixture
def dark(tmp_path: Path) -> Path:
    return write_calibration(tmp_path / "archive", "dark", DARK, detector=3)


def reasons(report: CalibrationIngestReport) -> str:
    return " | ".join(file.reason for file in report.failed)


def valid(butler: Butler, kind: str, detector: int) -> DatasetRef | None:
    data_id = {"instrument": "SPHEREx", "detector": detector}
    return butler.find_dataset(kind, data_id, collections=CALIBRATION_COLLECTION, timespan=ALWAYS)


# Every product.


@pytest.fixture(scope="module")
def filled(archive: Path) -> Iterator[tuple[Butler, dict[str, DatasetRef]]]:
    """A repository with both releases, copied in, and of each type one dataset, of detector 3 where it has one."""
    with new_repo() as butler:
        report = ingest_calibrations(butler, archive, transfer="copy", processes=2)
        assert (report.failed, report.warnings) == ([], [])
        refs = {ref.datasetType.name: ref for ref in report.ingested if ref.dataId.get("detector") in {3, None}}
        yield butler, refs


@pytest.mark.parametrize("kind", CALIBRATION_TYPES)
def test_product_is_copied_with_its_name_to_its_run_and_comes_back_valid_always(filled, archive, kind):
    butler, refs = filled
    ref = refs[kind]
    stored = path_of(butler, ref)
    original = next(archive.rglob(stored.name))
    assert stored.read_bytes() == original.read_bytes()
    assert ref.run == f"spx/{parse_product_name(stored.name).token}"
    assert butler.find_dataset(kind, ref.dataId, collections=CALIBRATION_COLLECTION, timespan=ALWAYS) is not None
    require_same(butler.get(ref), original)


def require_same(found: object, original: Path) -> None:
    """Check that a dataset is what astropy or yaml reads from a file."""
    if isinstance(found, dict):
        assert found == yaml.safe_load(original.read_bytes())
        return
    with fits.open(original) as expected:
        if isinstance(found, CCDData):
            np.testing.assert_array_equal(found.data, next(hdu.data for hdu in expected if hdu.data is not None))
        else:
            assert fits.FITSDiff(found, expected).identical


def test_components_and_single_hdus_of_products_are_read(filled):
    butler, refs = filled
    assert butler.get(refs["abs_gain_matrix"].makeComponentRef("unit")) == u.MJy / u.sr / (u.electron / u.s)
    assert [hdu.name for hdu in butler.get(refs["epsf"], parameters={"hdus": "EPSF"})] == ["PRIMARY", "EPSF"]


def test_runs_are_in_the_chains_of_the_releases_whose_folders_hold_them(filled):
    butler, _ = filled
    chains = {name: butler.collections.get_info(calibration_chain_of(name)).children for name in ("qr2", "qr3")}
    assert "spx/base-2025-158" in chains["qr2"]
    assert "spx/base-2025-158" in chains["qr3"]
    assert "spx/cal-wcs-v4-2025-254" not in chains["qr3"]
    assert "spx/cal-swcs-v5-2026-191" not in chains["qr2"]


def test_real_spectral_channels_come_back(butler, tmp_path):
    real = Path(__file__).parents[1] / "data" / "spectral_channels_table.fits"
    path = shutil.copy(real, tmp_path / "spectral_channels_spx_cal-sch-v1-2026-106.fits")
    (ref,) = ingest_calibrations(butler, path, transfer="copy").ingested
    require_same(butler.get(ref), real)


@pytest.mark.parametrize("transfer", ["auto", "copy", "symlink", "hardlink", "direct", "move"])
def test_every_way_in_works_for_every_extension(butler, tmp_path, transfer):
    kinds = {"dark": (DARK, 3), "gain_factors": ("base-2025-158", None), "spectral_channels": ("base-2025-158", None)}
    paths = [write_calibration(tmp_path, kind, token, detector=d) for kind, (token, d) in kinds.items()]
    report = ingest_calibrations(butler, tmp_path, transfer=transfer)
    assert len(report.ingested) == 3
    assert {path_of(butler, ref).name for ref in report.ingested} == {path.name for path in paths}
    assert all(path.exists() == (transfer != "move") for path in paths)
    assert all(butler.get(ref) is not None for ref in report.ingested)


def test_short_extension_of_yaml_is_kept(butler, tmp_path):
    path = write_calibration(tmp_path, "gain_factors", "base-2025-158")
    (ref,) = ingest_calibrations(butler, path.rename(path.with_suffix(".yml")), transfer="copy").ingested
    assert path_of(butler, ref).name == "gain_factors_spx_base-2025-158.yml"
    assert set(butler.get(ref)) == {f"D{detector}" for detector in range(1, 7)}


# Once, and again.


def test_second_ingest_skips_and_certifies_what_is_certified_nowhere(butler, archive):
    first = ingest_calibrations(butler, [archive / "qr2" / "dark", archive / "qr2" / "nonfunc"], certify=None)
    assert valid(butler, "dark", 3) is None
    again = ingest_calibrations(butler, archive / "qr2" / "dark")
    assert (again.ingested, again.failed) == ([], [])
    assert valid(butler, "dark", 3) in again.skipped
    third = ingest_calibrations(butler, [archive / "qr2" / "dark", archive / "qr2" / "nonfunc"])
    assert {ref.id for ref in third.skipped} == {ref.id for ref in first.ingested}
    assert third.summary == "0 ingested, 4 already there, 0 failed; 2 certified"
    assert third.to_dict()["certified"] == [f"nonfunc D{detector} base-2025-158, valid always" for detector in (2, 3)]


def test_same_name_with_other_content_is_refused(butler, dark, tmp_path):
    (ref,) = ingest_calibrations(butler, dark, transfer="copy").ingested
    before = butler.get(ref).data
    other = tmp_path / "other" / dark.name
    other.parent.mkdir()
    with fits.open(dark) as hdus:
        hdus[1].data += 1
        hdus.writeto(other)
    assert other.stat().st_size == dark.stat().st_size
    report = ingest_calibrations(butler, other)
    assert report.ingested == report.skipped == []
    assert "with other content; nothing was changed" in reasons(report)
    fits.setval(other, "DATE", value="2026-01-01T00:00:00")
    with serve(other.parent) as served:
        assert "with other content; nothing was" in reasons(ingest_calibrations(butler, f"{served.url}/{other.name}"))
    np.testing.assert_array_equal(butler.get(ref).data, before)


def test_same_name_twice_in_one_call_goes_in_once(butler, dark, tmp_path):
    same, other = (Path(shutil.copytree(dark.parent, tmp_path / name), dark.name) for name in ("same", "other"))
    fits.setval(other, "DATE", value="2026-01-01T00:00:00")
    report = ingest_calibrations(butler, [dark, same, other])
    assert len(report.ingested) == 1
    assert [file.uri for file in report.failed] == [other.as_uri()]
    assert f"{dark.as_uri()!r} of the same call has this name and other content" in reasons(report)


def test_file_that_is_gone_is_reported_and_the_others_go_in(butler, dark, tmp_path):
    (ref,) = ingest_calibrations(butler, dark, transfer="copy").ingested
    path_of(butler, ref).unlink()
    spoilt, good = (write_calibration(tmp_path, "dark", DARK, detector=detector) for detector in (1, 2))
    spoilt.write_text("nothing" * 1000)
    report = ingest_calibrations(butler, [spoilt, dark, good])
    assert [ref.dataId["detector"] for ref in report.ingested] == [2]
    assert "expected the start of a FITS file" in report.failed[0].reason
    assert "is gone; 'butler spherex verify' prints the command that gives it up" in report.failed[1].reason


def test_other_file_in_the_place_is_not_overwritten(butler, dark):
    (ref,) = ingest_calibrations(butler, dark, transfer="copy", certify=None).ingested
    place = path_of(butler, ref)
    butler.pruneDatasets([ref], disassociate=True, unstore=True, purge=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("something else")
    report = ingest_calibrations(butler, dark, transfer="copy")
    assert "is there already with other content; nothing was overwritten" in reasons(report)
    assert place.read_text() == "something else"


# Reissues and certification.


@pytest.fixture
def darks(tmp_path: Path) -> Path:
    """Two generations of darks of detectors 2 and 3."""
    folder = tmp_path / "darks"
    for token in (DARK, LATER_DARK):
        for detector in (2, 3):
            write_calibration(folder, "dark", token, detector=detector)
    return folder


def certified(butler: Butler) -> list[tuple[int, str, str]]:
    """Return detector, token and rule of the ranges of darks."""
    return [row[1:4] for row in ranges(calibrations_at(butler, dataset_type="dark"))]


def test_older_token_that_somebody_pinned_stays(butler, darks):
    ingest_calibrations(butler, darks)
    certify(butler, "dark", token=DARK, detectors=3, replace=True)
    report = ingest_calibrations(butler, darks)
    assert certified(butler) == [(2, LATER_DARK, "latest"), (3, DARK, "latest")]
    assert report.certified == []
    (warning,) = report.warnings
    assert warning.startswith(f"not certified: dark D3 {LATER_DARK}, valid always: the dataset was there before")


def test_token_that_is_new_displaces_a_pin_and_that_is_said(butler, darks, caplog):
    ingest_calibrations(butler, darks)
    certify(butler, "dark", token=DARK, detectors=3, replace=True)
    write_calibration(darks, "dark", "cal-drk-v6-2026-200", detector=3)
    with caplog.at_level(logging.WARNING):
        report = ingest_calibrations(butler, darks)
    assert certified(butler) == [(2, LATER_DARK, "latest"), (3, "cal-drk-v6-2026-200", "latest")]
    (warning,) = report.warnings
    assert warning == f"dark D3 cal-drk-v6-2026-200, valid always, took the place of {DARK}, valid always (latest)"
    assert warning in caplog.text


def test_detectors_that_are_not_ingested_are_left_alone(butler, darks):
    ingest_calibrations(butler, darks)
    decertify(butler, "dark", detectors=2)
    write_calibration(darks / "later", "dark", "cal-drk-v6-2026-200", detector=3)
    ingest_calibrations(butler, darks / "later")
    assert certified(butler) == [(3, "cal-drk-v6-2026-200", "latest")]


def test_dataset_whose_file_was_given_up_gets_it_back_and_is_not_new(butler, darks):
    report = ingest_calibrations(butler, darks, transfer="copy")
    certify(butler, "dark", token=DARK, detectors=3, replace=True)
    given_up = [ref for ref in report.ingested if (ref.run, ref.dataId["detector"]) == (f"spx/{LATER_DARK}", 3)]
    butler.pruneDatasets(given_up, disassociate=False, unstore=True, purge=False)
    (back,) = ingest_calibrations(butler, darks, transfer="copy").ingested
    assert (back.id, butler.get(back).shape) == (given_up[0].id, (48, 48))
    assert certified(butler) == [(2, LATER_DARK, "latest"), (3, DARK, "latest")]


def test_file_of_two_releases_is_certified_for_the_second_when_that_comes(butler, archive):
    for release in ("qr2", "qr3"):
        ingest_calibrations(butler, archive / release / "nonfunc", certify="release")
    assert [row[:1] + row[3:] for row in ranges(calibrations_at(butler, detectors=3))] == [
        ("nonfunc", "release", *release_spans()["qr2"]),
        ("nonfunc", "release", release_spans()["qr3"][0], ""),
    ]


# Certification that fails.


@pytest.fixture
def other_collection(butler) -> None:
    """Have a collection of another type where validity is recorded."""
    for chain in butler.collections.query("*", collection_types=CollectionType.CHAINED):
        if CALIBRATION_COLLECTION in butler.collections.get_info(chain).children:
            butler.collections.remove_from_chain(chain, CALIBRATION_COLLECTION)
    butler.collections.x_remove(CALIBRATION_COLLECTION)
    butler.collections.register(CALIBRATION_COLLECTION, CollectionType.TAGGED)


@pytest.mark.usefixtures("other_collection")
def test_type_that_cannot_be_certified_is_reported_and_keeps_its_sources(butler, dark):
    report = ingest_calibrations(butler, dark, transfer="move")
    (missed,) = report.not_certified
    assert missed.dataset_type == "dark"
    assert f"The collection {CALIBRATION_COLLECTION!r} is of type TAGGED; expected CALIBRATION" in missed.reason
    assert report.summary == "1 ingested, 0 already there, 0 failed; 0 certified, not certified: dark"
    assert report.details == [f"dark: was ingested but not certified: {missed.reason}"]
    assert report.to_dict()["not_certified"] == [{"dataset_type": "dark", "reason": missed.reason}]
    assert dark.exists()


# Moves.


INGEST = """
import sys
from lsst.daf.butler import Butler
from spherex_butler.calibrations import ingest_calibrations

repo, files, transfer = sys.argv[1:]
with Butler.from_config(repo, writeable=True) as butler:
    ingest_calibrations(butler, files, transfer=transfer)
"""


@pytest.mark.parametrize("killed_at", ["certify_ingested", "remove_source"])
def test_killed_move_is_finished_by_the_same_command(tmp_path, empty_repo, dark, killed_at):
    killed = start_script(INGEST, empty_repo, dark, "move", folder=tmp_path / "elsewhere", killed_at=killed_at)
    assert killed.wait() == -signal.SIGKILL
    assert dark.exists()
    with Butler.from_config(empty_repo, writeable=True) as butler:
        report = ingest_calibrations(butler, dark, transfer="move")
        assert (len(report.skipped), report.failed, report.warnings) == (1, [], [])
        assert certified(butler) == [(3, DARK, "latest")]
        assert path_of(butler, report.skipped[0]).exists()
    assert not dark.exists()


def test_move_keeps_a_file_that_the_repository_refers_to(butler, dark):
    ingest_calibrations(butler, dark, transfer="direct")
    report = ingest_calibrations(butler, dark, transfer="move")
    assert (len(report.skipped), dark.exists()) == (1, True)


# Two at once.


@pytest.mark.parametrize("statement", ["INSERT INTO collection", "dataset_tags", "INSERT INTO file_datastore"])
def test_database_that_is_locked_for_a_moment_is_waited_for(butler, dark, statement):
    locked = sqlite3.OperationalError("database is locked")
    locked.sqlite_errorname = "SQLITE_BUSY"
    errors = [OperationalError(statement, {}, locked)]

    def fail_once(_connection, _cursor, text, *_rest):
        if errors and statement in text:
            raise errors.pop()

    if statement == "dataset_tags":  # of which nothing is read where there is none
        ingest_calibrations(butler, dark, transfer="copy", certify=None)
    engine = butler._registry._db._engine
    event.listen(engine, "before_cursor_execute", fail_once)
    try:
        report = ingest_calibrations(butler, dark, transfer="copy", certify=None)
    finally:
        event.remove(engine, "before_cursor_execute", fail_once)
    assert (errors, report.failed) == ([], [])


def test_database_that_fails_ends_the_ingest_and_is_no_fault_of_files(butler, dark):
    engine = butler._registry._db._engine
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE dataset_location")
    with pytest.raises(ConfigurationError, match=r"^The database failed\. .* What was registered before stays"):
        ingest_calibrations(butler, dark, transfer="copy", certify=None)


def test_two_processes_at_once_lose_nothing(archive, tmp_path, empty_repo):
    given = (INGEST, empty_repo, archive, "copy")
    scripts = [start_script(*given, folder=tmp_path / "elsewhere") for _ in range(2)]
    assert [script.wait() for script in scripts] == [0, 0], [script.said for script in scripts]
    with Butler.from_config(empty_repo, writeable=True) as butler:
        report = ingest_calibrations(butler, archive, transfer="copy")
        assert (report.ingested, report.failed, report.certified) == ([], [], [])
        assert all(butler.getURI(ref).exists() for ref in report.skipped)


# The archive's ids.


def test_known_id_of_the_archive_becomes_the_datasets_and_others_are_derived(filled):
    butler, refs = filled
    known, derived = refs["gain_factors"], refs["dark"]
    assert known.id == GAINS_IN_THE_ARCHIVE
    assert find_by_archive_id(butler, "gain_factors", str(GAINS_IN_THE_ARCHIVE)) == known
    assert find_by_archive_id(butler, "dark", GAINS_IN_THE_ARCHIVE) is None
    assert derived.id == derived_id(derived.datasetType, derived.dataId, derived.run)
    assert find_by_archive_id(butler, "dark", uuid.uuid4()) is None


def test_given_id_becomes_the_datasets_and_a_rerun_skips(butler, dark):
    given = uuid.uuid4()
    (ref,) = ingest_calibrations(butler, dark, archive_ids={dark.name: str(given)}).ingested
    assert ref.id == given
    for ids in (None, {dark.name: given}):
        report = ingest_calibrations(butler, dark, archive_ids=ids)
        assert ([found.id for found in report.skipped], report.warnings) == ([given], [])


def test_id_that_comes_too_late_is_said(butler, dark, caplog):
    (ref,) = ingest_calibrations(butler, dark).ingested
    with caplog.at_level(logging.WARNING):
        report = ingest_calibrations(butler, dark, archive_ids={dark.name: uuid.UUID(int=5)})
    (warning,) = report.warnings
    assert f"is there by the id {ref.id}; its id in the archive, {uuid.UUID(int=5)}, was not taken over" in warning
    assert warning in caplog.text


def test_id_in_the_files_header_becomes_the_datasets(butler, dark):
    own = uuid.uuid4()
    state_id(dark, ID=str(own), DATASETTYPE="dark")
    (ref,) = ingest_calibrations(butler, dark).ingested
    assert ref.id == own


def state_id(path: Path, **cards: str) -> None:
    for name, value in cards.items():
        fits.setval(path, f"HIERARCH LSST BUTLER {name}", value=value)


@pytest.mark.parametrize(
    ("cards", "why"),
    [
        ({"ID": str(uuid.UUID(int=7)), "DATASETTYPE": "flat"}, "its header states the id of a 'flat', which was not"),
        ({"ID": "seven"}, "its header states 'seven' for its id, which is not a UUID and was not taken over"),
    ],
)
def test_id_that_is_not_the_files_is_not_taken_over(butler, dark, cards, why):
    state_id(dark, **cards)
    report = ingest_calibrations(butler, dark)
    (ref,) = report.ingested
    assert ref.id == derived_id(ref.datasetType, ref.dataId, ref.run)
    assert why in report.warnings[0]


def test_id_of_another_dataset_here_is_not_taken_over(butler, tmp_path):
    """A calibration that Butler wrote, copied by hand to another detector's name."""
    first, second = (write_calibration(tmp_path, "dark", DARK, detector=detector) for detector in (2, 3))
    given = uuid.uuid4()
    ingest_calibrations(butler, first, archive_ids={first.name: given})
    report = ingest_calibrations(butler, second, archive_ids={second.name: given})
    assert f"the id {given} stated for it is that of dark@" in report.warnings[0]
    assert report.ingested[0].id != given


# What is refused.


def test_unreadable_unit_is_said_and_the_pixels_can_be_read(butler, dark):
    fits.setval(dark, "BUNIT", value="smoots", ext=1)
    report = ingest_calibrations(butler, dark)
    (warning,) = report.warnings
    assert "HDU 'DARK' has BUNIT='smoots'" in warning
    assert butler.get(report.ingested[0].makeComponentRef("image")).shape == (48, 48)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"transfer": "teleport"}, "There is no transfer mode 'teleport'"),
        ({"certify": "newest"}, "no rule 'newest' here; expected 'latest' or 'release', or None"),
    ],
)
def test_option_without_meaning_is_refused(butler, dark, options, reason):
    with pytest.raises(ParameterError, match=reason):
        ingest_calibrations(butler, dark, **options)


def test_read_only_repository_is_refused(butler, dark):
    with (
        Butler.from_config(butler.get_datastore_roots().popitem()[1]) as reader,
        pytest.raises(ConfigurationError, match="The repository is read-only here"),
    ):
        ingest_calibrations(reader, dark)


def test_dataset_type_that_is_missing_or_of_another_kind_is_reported(butler, dark, tmp_path):
    gains = write_calibration(tmp_path, "gain_factors", "base-2025-158")
    butler.registry.removeDatasetType("dark")
    butler.registry.removeDatasetType("gain_factors")
    dimensions = butler.dimensions.conform(["instrument"])
    butler.registry.registerDatasetType(DatasetType("gain_factors", dimensions, "StructuredDataDict"))
    report = ingest_calibrations(butler, [dark, gains])
    assert "no dataset type 'dark'; expected what 'butler spherex register REPO' adds" in reasons(report)
    assert "The repository's dataset type 'gain_factors' is not a calibration type" in reasons(report)


# From a web server.


def test_files_of_a_server_are_copied_or_left_there(butler, archive):
    dark = next(archive.rglob("dark_D3_*.fits"))
    gains = next(archive.rglob("gain_factors*.yaml"))
    channels = next(archive.rglob("spectral_channels*.gz"))
    with serve(archive) as served:
        urls = [f"{served.url}/{path.relative_to(archive)}" for path in (dark, gains, channels)]
        direct = ingest_calibrations(butler, urls[:1], transfer="direct", processes=2)
        copied = ingest_calibrations(butler, urls[1:])
        assert (direct.failed, copied.failed) == ([], [])
        assert str(butler.getURI(direct.ingested[0])) == urls[0]
        np.testing.assert_array_equal(butler.get(direct.ingested[0]).data, fits.getdata(dark, 1))
        again = ingest_calibrations(butler, urls)
        assert (len(again.skipped), again.failed) == (3, [])
    names = {path_of(butler, ref).name for ref in copied.ingested}
    assert names == {gains.name, channels.name}


def test_file_whose_twin_cannot_be_reached_is_reported(butler, dark, tmp_path):
    gains = write_calibration(tmp_path, "gain_factors", "base-2025-158")
    elsewhere = tmp_path / dark.name
    with serve(dark.parent) as served:
        ingest_calibrations(butler, f"{served.url}/{dark.name}", transfer="direct")
        report = ingest_calibrations(butler, [dark.rename(elsewhere), gains])
    assert [ref.datasetType.name for ref in report.ingested] == ["gain_factors"]
    assert "FileNotFoundError" in reasons(report)


def test_psf_and_wavelengths_of_calibrations_are_read_like_those_of_images(filled):
    butler, refs = filled
    image = make_spectral_image(detector=3, size=64)
    cube, table, waves = (
        butler.get(refs[kind])[name]
        for kind, name in (("average_psf", "PSF-DATA-CUBE"), ("epsf", "EPSF"), ("spectral_wcs", "WCS-WAVE"))
    )
    psf = SpectralImagePSF(cube.data, LazyHeader(cube.header))
    np.testing.assert_array_equal(psf.at(1000, 1040), image.psf.at(1000 - image.origin[0], 1040 - image.origin[1]))
    assert SpectralImagePSF(table.data, LazyHeader(table.header)).at(1000, 1100).shape == (33, 33)
    wavelength, _ = WavelengthTable.from_table(waves.data).at(1019.5, 1019.5)
    assert wavelength == pytest.approx(image.wavelength[31:33, 31:33].mean().to_value("um"), rel=1e-3)
