"""``butler spherex spectrum``: fluxes printed, written, and what failed told."""

from __future__ import annotations

import json

import pytest
from astropy.table import QTable
from command_line import invoke
from made_once import copy_exposures, copy_repo, open_repo

from spherex_butler.ingest import ingest_files


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return copy_exposures(tmp_path_factory.mktemp("files"), size=48)


@pytest.fixture
def repo(tmp_path, files):
    """Return a repository with an image of each detector, and where the middle of the first is."""
    root = copy_repo(tmp_path / "repo")
    with open_repo(root) as butler:
        ingest_files(butler, files)
    return root


@pytest.fixture
def position(repo):
    with open_repo(repo) as butler:
        wcs = butler.get("level2.wcs", detector=2, exposure=20255110106842)
    place = wcs.pixel_to_world(24, 24)
    return f"{place.ra.deg} {place.dec.deg}"


def test_prints_a_line_for_each_measurement(repo, position):
    lines = invoke("spectrum", repo, position).stdout.splitlines()
    assert lines[0].split()[:4] == ["source", "wavelength", "flux", "flux_error"]
    assert "Jy" in lines[1].split()
    assert any(line.endswith("qr2") for line in lines)
    assert lines[-1].startswith("2 measurements, ")
    assert "median signal to noise" in lines[-1]


def test_writes_what_it_measures(repo, position, tmp_path):
    result = invoke("spectrum", repo, position, "-o", tmp_path / "m.ecsv", "--folder", tmp_path / "kept")
    assert f"Wrote 2 measurements to {tmp_path / 'm.ecsv'}." in result.output
    table = QTable.read(tmp_path / "m.ecsv")
    assert str(table["flux"].unit) == "Jy"
    assert table.meta["method"] == "matched filter"
    assert len([*(tmp_path / "kept").glob("*.fits")]) == 2
    again = invoke("spectrum", repo, position, "-o", tmp_path / "m.ecsv", code=2)
    assert "exists; give --overwrite" in again.output


def test_draws_what_it_measures(repo, position, tmp_path):
    picture = tmp_path / "spectrum.svg"
    result = invoke("spectrum", repo, position, "--plot", picture, "--binned")
    assert f"Wrote the picture to {picture}." in result.stderr
    assert "flux density [mJy]" in picture.read_text(encoding="utf-8")
    again = invoke("spectrum", repo, position, "--plot", picture, code=2)
    assert "exists; give --overwrite" in again.output


def test_json_says_what_was_measured_and_how(repo, position):
    found = json.loads(invoke("spectrum", repo, position, "--json").stdout)
    assert {one["flux"]["unit"] for one in found["measurements"]} == {"Jy"}
    assert found["made"]["solid_angle"] == "WCS"
    assert found["failed"] == []


def test_a_file_of_json_is_what_is_printed(repo, position, tmp_path):
    printed = invoke("spectrum", repo, position, "--json").stdout
    assert invoke("spectrum", repo, position, "-o", tmp_path / "spectrum.json").exit_code == 0
    assert json.loads((tmp_path / "spectrum.json").read_text()) == json.loads(printed)


def test_what_fails_is_told_and_the_rest_is_measured(repo, position):
    with open_repo(repo) as butler:
        butler.getURI("level2", detector=2, exposure=20255110106842).remove()
    result = invoke("spectrum", repo, position, code=1)
    assert "row " in result.output
    assert "1 measurement" in result.output


def test_a_position_that_nobody_saw_is_no_error(repo, tmp_path):
    assert invoke("spectrum", repo, "200 -40").stdout == "No image was found.\n"
    written = invoke("spectrum", repo, "200 -40", "-o", tmp_path / "none.ecsv").stdout
    assert written == f"Wrote 0 measurements to {tmp_path / 'none.ecsv'}.\nNo image was found.\n"


@pytest.mark.parametrize(
    ("code", "arguments", "message"),
    [
        (2, (), "Nothing was given to search for"),
        (2, ("1 2", "--gains", "qr1"), "'qr1' is not 'qr3'"),
        (1, ("1 2", "--aperture", "-1"), "is not a radius; expected a number of pixels above 0"),
        (2, ("1 2", "--size", "3"), "3 is not in the range 11<=x<=301"),
        (2, ("1 2", "--plot", "absent/x.png"), "'absent' is not a folder; expected one for the picture"),
        (1, ("1 2", "-o", "x.doc"), "names no known format"),
    ],
)
def test_mistakes_are_told_before_anything_is_read(repo, code, arguments, message):
    result = invoke("spectrum", repo, *arguments, code=code)
    assert message in result.output
