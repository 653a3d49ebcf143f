"""``butler spherex search``: positions in many ways, what it prints, and the files that it writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import astropy.units as u
import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from astropy.time import Time
from command_line import invoke
from made_once import copy_exposures, copy_repo, open_repo
from sky_images import make_frame, register_frames, sky_of

import spherex_butler
from spherex_butler import SpectralImage
from spherex_butler.ingest import ingest_files
from spherex_butler.search import channel_counts, find_images

OBS_IDS = ("2025W51_1A_0684_2", "2025W51_1A_0700_1")
CENTER = sky_of(make_frame(detector=2), 1000.0, 1000.0)
TABLES = {"t.ecsv": "ascii.ecsv", "t.csv": "ascii.csv", "t.vot": "votable", "t.fits": "fits", "t.parquet": "parquet"}
RA, DEC = f"{CENTER.ra.deg:.6f}", f"{CENTER.dec.deg:.6f}"


def run(*words: object, code: int = 0, **options: object) -> str:
    """Return what a command prints without its notes, which go to the standard error, or why it failed."""
    result = invoke(*words, code=code, **options)
    return result.stderr if code else result.stdout


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two exposures of detectors 2 and 5 at one position, and an image at a southern one."""
    folder = copy_repo(tmp_path_factory.mktemp("search") / "repo")
    with open_repo(folder) as butler:
        frames = [make_frame(obs_id=name, detector=d, center=CENTER) for name in OBS_IDS for d in (2, 5)]
        south = make_frame(obs_id="2025W52_1A_0010_3", detector=2, center=SkyCoord(10, -5.2, unit="deg"))
        register_frames(butler, *frames, south)
    return folder


@pytest.fixture
def found(repo: Path) -> QTable:
    with spherex_butler.open_repo(repo) as butler:
        return find_images(butler, CENTER)


def test_table_is_for_people(repo):
    lines = run("search", repo, f"{RA} {DEC}", env={"COLUMNS": "120"}).splitlines()
    assert lines[0].split() == [*NARROW[:2], "channel", "wavelength", "bandwidth", "x", "y", "time", "release"]
    assert len(lines) == 6
    assert "2025W51_1A_0684_2" in lines[1]
    assert "2025-12-18T" in lines[1]
    assert lines[-1].startswith("4 images of D2 and D5, 1.")
    assert lines[-1].endswith(f" um, at {RA} {DEC}.")
    narrow = run("search", repo, RA, DEC, env={"COLUMNS": "60"}).splitlines()
    assert max(map(len, narrow[:-1])) <= 60


NARROW = ["obs_id", "detector", "wavelength", "x", "y", "time"]


def test_80_columns_hold_pixel_and_time(repo):
    (heading, *lines) = run("search", repo, RA, DEC, env={"COLUMNS": "80"}).splitlines()
    assert heading.split() == NARROW
    assert max(map(len, lines)) <= 80
    assert all(line.split()[-1].startswith("2025-12-18T0") for line in lines[:-1])


def test_80_columns_hold_the_end_of_long_sources(repo, tmp_path):
    names = [f"Gaia DR3 1234567890{number}" for number in (1, 2)]
    Table({"name": names, "ra": [CENTER.ra.deg] * 2, "dec": [CENTER.dec.deg] * 2}).write(tmp_path / "stars.csv")
    lines = run("search", repo, "--catalogue", tmp_path / "stars.csv", env={"COLUMNS": "80"}).splitlines()
    assert lines[0].split() == ["source", "obs_id", "det", "um", "x", "y", "time"]
    assert max(map(len, lines)) <= 80
    sources = [line.partition("  ")[0] for line in lines[1:-1]]
    assert [(source[:4], source[-5:]) for source in sources] == [("Gaia", "78901")] * 4 + [("Gaia", "78902")] * 4
    wide = run("search", repo, "--catalogue", tmp_path / "stars.csv", env={"COLUMNS": "100"}).splitlines()
    assert wide[0].split() == ["source", *NARROW]
    assert wide[1].startswith("Gaia DR3 12345678901  ")


def test_bare_numbers_are_positions_in_pairs(repo):
    def sources(*words: str) -> list[str]:
        content = json.loads(run("search", repo, *words, "--json"))
        return [image["source"] for image in content["images"]]

    assert sources(RA, DEC) == [f"{RA} {DEC}"] * 4
    assert sources("10", "-5.2") == ["10 -5.2"]
    assert sources("10", "-5.2", RA, DEC) == ["10 -5.2"] + [f"{RA} {DEC}"] * 4
    assert sources("10 -5.2", f"{RA} {DEC}") == ["10 -5.2"] + [f"{RA} {DEC}"] * 4
    assert sources("00h40m00s -05d12m00s") == ["00h40m00s -05d12m00s"]


def test_options_choose(repo):
    def number(*words: str) -> int:
        return len(json.loads(run("search", repo, RA, DEC, *words, "--json"))["images"])

    assert number() == 4
    assert number("--detector", "D5") == 2
    assert number("--exposure", "20255110106842") == 2
    assert number("--exposure", "2025W51_1A_0684_2") == 2
    assert number("--period", "2025W52_1A") == 0
    assert number("--begin", "2025-12-18T06:00:00") == 2
    assert number("--end", "2025-12-01") == 0
    assert number("--wavelength", "1.2,1.5um") == number("--wavelength", "1.2um,1500nm") == 2
    assert number("--wavelength", "1.2-1.5um") == number("--wavelength", "199.86163866,249.827048333THz") == 2
    assert number("--wavelength", "3um") == 0
    assert number("--radius", "2deg") >= 4
    assert number("--all-processings") == 4


def test_nothing_found_says_how_far_the_nearest_image_is(repo):
    assert run("search", repo, "100", "-60") == "No image was found.\n"
    assert "There is no image within 32 deg." in invoke("search", repo, "100", "-60").stderr
    assert "The nearest image is 1.2 deg away." in invoke("search", repo, "10", "-2.2").stderr


@pytest.mark.parametrize(
    ("words", "reasons"),
    [
        (("--wavelength", "3um"), ["Without --wavelength there would be 4 images."]),
        (
            ("--wavelength", "9um"),
            ["SPHEREx sees wavelengths from 0.7", "Without --wavelength there"],
        ),
        (("--begin", "2026-01-01"), ["Without --begin and --end there would be 4 images."]),
        (("--detector", "3"), ["Without --detector there would be 4 images."]),
        (("--wavelength", "3um", "--detector", "2"), ["Without --wavelength there would be 2 images."]),
        (("--wavelength", "3um", "--detector", "3"), ["Without --wavelength and --detector there would be 4 images."]),
        (("--period", "2025W52_1A"), ["Without --period there would be 4 images."]),
    ],
)
def test_nothing_found_names_the_condition_that_left_nothing(repo, words, reasons):
    result = invoke("search", repo, RA, DEC, *words)
    assert result.stdout == "No image was found.\n"
    assert all(reason in result.stderr for reason in reasons)


def test_exchanged_coordinates_are_noticed(repo):
    assert f"At RA {CENTER.ra.deg:.6g}, Dec {CENTER.dec.deg:.6g}, the same numbers exchanged, there are 4 images." in (
        invoke("search", repo, DEC, RA).stderr
    )


def test_ephemeris_outside_all_times_is_noticed(repo, tmp_path):
    times = Time("2020-01-01") + np.arange(3) * u.day
    Table({"time": times.isot, "ra": [10.0] * 3, "dec": [5.0] * 3}).write(tmp_path / "track.csv")
    said = invoke("search", repo, "--ephemeris", tmp_path / "track.csv").stderr
    assert "The ephemeris is from 2020-01-01T00:00:00 to 2020-01-03T00:00:00, and the exposures are from 2025-" in said


def test_positions_that_no_image_saw_are_named(repo, tmp_path):
    result = invoke("search", repo, RA, DEC, "100", "-60")
    assert "1 of 2 positions was seen by no image: 100 -60" in result.stderr
    assert json.loads(run("search", repo, RA, DEC, "100", "-60", "--json"))["unseen"] == ["100 -60"]
    Table({"ra": [CENTER.ra.deg, *range(100, 108)], "dec": [CENTER.dec.deg, *[-60] * 8]}).write(tmp_path / "s.csv")
    result = invoke("search", repo, "--catalogue", tmp_path / "s.csv")
    assert "8 of 9 positions were seen by no image: 1, 2, 3, 4, 5 and 3 more" in result.stderr
    run("search", repo, "--catalogue", tmp_path / "s.csv", "-o", tmp_path / "found.json")
    assert json.loads((tmp_path / "found.json").read_text())["unseen"] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_source_is_shown_if_rows_that_are_not_shown_have_others(repo):
    lines = run("search", repo, RA, DEC, "10", "-5.2", "--limit", 1, env={"COLUMNS": "160"}).splitlines()
    assert lines[0].split()[0] == "source"
    assert lines[-1].startswith("5 matches: 2 sources in 5 images of D2 and D5, ")


def test_rough_pixels_are_noted_until_a_header_was_read(repo):
    said = invoke("search", repo, RA, DEC).stderr
    assert "Pixels are good to 8 pixels until a header of D2 and D5 has been read; --refine gives exact ones." in said


def test_cutouts_are_noted(tmp_path):
    folder = copy_repo(tmp_path / "repo")
    files = copy_exposures(tmp_path / "files")
    with open_repo(folder) as butler:
        ingest_files(butler, files, transfer="direct")
    center = SpectralImage.read(files[0]).wcs.pixel_to_world(8, 8)
    words = ("search", folder, f"{center.ra.deg} {center.dec.deg}")
    said = invoke(*words).stderr
    assert "whose pixels the registry does not tell; add --refine to read the headers." in said
    assert "registry" not in invoke(*words, "--refine").stderr


def test_limit_says_that_there_is_more(repo):
    result = invoke("search", repo, RA, DEC, "--limit", 1)
    assert "… and 3 more; --limit 0 prints all." in result.stderr
    assert len(result.stdout.splitlines()) == 3
    assert len(run("search", repo, RA, DEC, "--limit", 0).splitlines()) == 6


def test_limit_is_for_files_and_text_as_well(repo, tmp_path):
    path = tmp_path / "images.csv"
    result = invoke("search", repo, RA, DEC, "--limit", 1, "-o", path)
    assert (result.stdout, result.stderr.splitlines()[0]) == (
        f"Wrote 1 row to {path}.\n",
        "… and 3 more; --limit 0 writes all.",
    )
    assert len(Table.read(path)) == 1
    result = invoke("search", repo, RA, DEC, "--limit", 2, "--format", "csv")
    assert (len(result.stdout.splitlines()), result.stderr.splitlines()[0]) == (
        3,
        "… and 2 more; --limit 0 prints all.",
    )
    result = invoke("search", repo, RA, DEC, "--limit", 3, "--json")
    assert len(json.loads(result.stdout)["images"]) == 3


@pytest.mark.parametrize("name", TABLES)
def test_catalogue_gives_the_positions(repo, tmp_path, name):
    path = tmp_path / name
    catalogue = Table({"name": ["north", "south"], "ra": [CENTER.ra.deg, 10], "dec": [CENTER.dec.deg, -5.2]})
    catalogue.write(path, format=TABLES[name])
    images = json.loads(run("search", repo, "--catalogue", path, "--json"))["images"]
    assert [image["source"] for image in images] == ["north"] * 4 + ["south"]


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("column", ["time", "datetime_jd"])
def test_ephemeris_gives_the_track(repo, tmp_path, name, column):
    times = Time("2025-12-17") + np.arange(0, 4, 0.1) * u.day
    path = tmp_path / name
    values = times.isot if column == "time" else times.jd
    track = Table({column: values, "ra": [CENTER.ra.deg] * 40, "dec": [CENTER.dec.deg] * 40})
    track.write(path, format=TABLES[name])
    assert len(json.loads(run("search", repo, "--ephemeris", path, "--json"))["images"]) == 4


def test_coverage_is_drawn(repo, found):
    lines = run("search", repo, RA, DEC, "--coverage").splitlines()
    assert len(lines) == 15  # a heading and numbers for each detector, bars for two of them, and a sum
    assert max(map(len, lines)) <= 80
    assert lines[0] == "D1, channels 1 to 17: 0.753 to 1.102 um"
    assert lines[-1] == f"4 images, {len(set(found['detector', 'channel'].as_array().tolist()))} of 102 channels."
    counts = {
        (one["detector"], one["channel"]): one["images"]
        for one in json.loads(run("search", repo, RA, DEC, "--coverage", "--json"))["channels"]
    }
    assert counts == channel_counts(found)
    assert len(counts) == 102
    assert sum(counts.values()) == 4


def test_coverage_is_written_as_counts(repo, found, tmp_path):
    expected = [(*channel, number) for channel, number in channel_counts(found).items()]
    for name in ("counts.ecsv", "counts.fits", "counts.vot"):
        path = tmp_path / name
        assert run("search", repo, RA, DEC, "--coverage", "-o", path) == f"Wrote 102 rows to {path}.\n"
        table = Table.read(path)
        assert table.colnames == ["detector", "channel", "images"]
        assert [tuple(row) for row in table.iterrows()] == expected
    printed = run("search", repo, RA, DEC, "--coverage", "--format", "csv").splitlines()
    assert printed == ["detector,channel,images", *(",".join(map(str, row)) for row in expected)]
    run("search", repo, RA, DEC, "--coverage", "-o", tmp_path / "counts.json")
    written = (tmp_path / "counts.json").read_text()
    assert json.loads(written)["channels"][0] == {"detector": 1, "channel": 1, "images": 0}
    for words in (["--json"], ["--format", "json"], ["--format", "json", "--json"]):
        assert run("search", repo, RA, DEC, "--coverage", *words) == written


@pytest.mark.parametrize("extension", ["ecsv", "csv", "fits", "vot", "parquet", "json"])
def test_file_holds_all_columns_and_digits(repo, found, tmp_path, extension):
    path = tmp_path / f"images.{extension}"
    assert run("search", repo, RA, DEC, "-o", path) == f"Wrote 4 rows to {path}.\n"
    if extension == "json":
        rows = json.loads(path.read_text())["images"]
        x = [row["x"]["value"] for row in rows]
        names, times = list(rows[0]), [row["time"]["value"] for row in rows]
    elif extension == "parquet":
        table = pq.read_table(path)
        names, x, times = table.column_names, table["x"].to_pylist(), table["time"].to_pylist()
        assert table.schema.field("wavelength").metadata == {b"unit": b"um"}
    else:
        table = QTable.read(path) if extension != "fits" else QTable.read(path, astropy_native=True)
        names, x, times = table.colnames, list(getattr(table["x"], "value", table["x"])), list(table["time"])
        if extension != "csv":
            assert table["wavelength"].unit == "um"
    assert names == found.colnames
    np.testing.assert_allclose(x, found["x"].value, atol=0.02)  # the position that was given has fewer digits
    np.testing.assert_allclose(Time(times).mjd, found["time"].mjd, atol=1e-8)


def test_file_is_not_replaced_unless_told(repo, tmp_path):
    path = tmp_path / "images.csv"
    path.write_text("mine")
    message = run("search", repo, RA, DEC, "-o", path, code=2)
    assert "exists; give --overwrite to replace it" in message
    assert path.read_text() == "mine"
    run("search", repo, RA, DEC, "-o", path, "--overwrite")
    assert path.read_text().startswith("source,obs_id")
    assert [one.name for one in tmp_path.iterdir()] == ["images.csv"]


def test_json_is_the_same_printed_and_written(repo, tmp_path):
    path = tmp_path / "images.json"
    run("search", repo, RA, DEC, "-o", path)
    assert run("search", repo, RA, DEC, "--json") == path.read_text()


@pytest.mark.parametrize("name", ["ecsv", "csv", "votable", "json"])
def test_text_is_printed(repo, tmp_path, name):
    printed = run("search", repo, RA, DEC, "--format", name)
    if name == "json":
        assert len(json.loads(printed)["images"]) == 4
    else:
        path = tmp_path / "printed"
        path.write_text(printed)
        assert len(Table.read(path, format={"votable": "votable"}.get(name, f"ascii.{name}"))) == 4


def test_cutouts_are_written(tmp_path):
    folder = copy_repo(tmp_path / "repo")
    files = copy_exposures(tmp_path / "files")
    with open_repo(folder) as butler:
        ingest_files(butler, files, transfer="direct")
    center = SpectralImage.read(files[0]).wcs.pixel_to_world(8, 8)
    position = f"{center.ra.deg} {center.dec.deg}"
    result = invoke("search", folder, position, "--cutouts", tmp_path / "cutouts", "--size", 4)
    assert "failed, in" in result.stderr
    written = sorted((tmp_path / "cutouts").glob("*.fits"))
    assert len(written) == len(result.stdout.splitlines()) - 2 > 0
    assert SpectralImage.read(written[0]).shape == (4, 4)
    run("search", folder, position, "--limit", 1, "--cutouts", tmp_path / "one", "--size", 4)
    assert len(list((tmp_path / "one").glob("*.fits"))) == 1 < len(written)


@pytest.mark.parametrize("words", [(f"{RA},{DEC}",), (f"{RA}deg", f"{DEC}deg"), ("SEXAGESIMAL",), ("COLONS",)])
def test_positions_need_no_quotes(repo, words):
    sexagesimal = CENTER.to_string("hmsdms", sep=" ", precision=3, alwayssign=True).lstrip("+").split()
    colons = CENTER.to_string("hmsdms", sep=":", precision=3, alwayssign=True).lstrip("+").split()
    given = {("SEXAGESIMAL",): sexagesimal, ("COLONS",): colons}.get(words, words)
    assert run("search", repo, *given).splitlines()[-1].startswith("4 images of D2 and D5")


def test_numbers_that_are_no_pairs_are_told(repo):
    assert "'1 2 3' is not understood; expected two numbers for each position" in run("search", repo, 1, 2, 3, code=2)


def test_range_of_wavelengths_in_two_words_is_explained(repo):
    text = " ".join(run("search", repo, RA, DEC, "--wavelength", "1.2um", "1.4um", code=2).split())
    assert "'1.4um' is a wavelength, not a position; write a range of wavelengths as one word" in text


def test_several_detectors_are_one_word(repo):
    assert run("search", repo, RA, DEC, "--detector", "D2,5").splitlines()[-1].startswith("4 images of D2 and D5")


def test_misspelt_option_is_told_with_the_right_one(repo):
    text = " ".join(run("search", repo, RA, DEC, "--wavelenght", "1.2um", code=2).split())
    assert "No such option '--wavelenght'" in text
    assert "--wavelength" in text.partition("--wavelenght")[2]


def test_ephemeris_has_no_radius(repo, tmp_path):
    Table({"time": ["2025-12-17", "2025-12-19"], "ra": [1.0, 2.0], "dec": [3.0, 4.0]}).write(tmp_path / "path.csv")
    text = run("search", repo, "--ephemeris", tmp_path / "path.csv", "--radius", "1deg", code=1)
    assert "was given together with an ephemeris; only positions that do not move can have" in " ".join(text.split())
