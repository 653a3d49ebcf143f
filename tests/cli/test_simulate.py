from __future__ import annotations

import pytest
from astropy.io import fits
from command_line import run

SMALL = ["--size", "16", "--exposures", "1", "--detectors", "2,5-6"]


def test_files_are_written_and_counted(tmp_path):
    text = run("simulate", tmp_path / "out", *SMALL, "--release", "qr3", "--start", "2026W40_1A_0001_1", "--seed", 5)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"level2_2026W40_1A_0001_1D{detector}_spx_l2b-v27-2026-276.fits" for detector in (2, 5, 6)]
    assert "Wrote 3 files, " in text


def test_options_reach_the_files(tmp_path):
    run("simulate", tmp_path, *SMALL, "--center", "00h42m44s +41d16m09s", "--token", "l2b-v22-2026-006", "--tree")
    path = tmp_path / "qr2/level2/2025W51_1A/l2b-v22-2026-006/2/level2_2025W51_1A_0684_2D2_spx_l2b-v22-2026-006.fits"
    header = fits.getheader(path, "IMAGE")
    assert header["CRVAL1"] == pytest.approx(10.683, abs=0.2)
    assert header["CRVAL2"] == pytest.approx(41.269, abs=0.2)


def test_dry_run_prints_the_plan_and_writes_nothing(tmp_path):
    text = run("simulate", tmp_path / "out", *SMALL, "--dry-run")
    assert "D2_spx_l2b-v21-2025-354.fits\n" in text
    assert "3 files; none was written." in text
    assert not (tmp_path / "out").exists()


def test_existing_files_stop_the_command_before_it_writes(tmp_path):
    (tmp_path / "level2_2025W51_1A_0684_2D5_spx_l2b-v21-2025-354.fits").write_text("mine")
    text = run("simulate", tmp_path, *SMALL, code=1)
    assert "1 of the 3 files exist" in text
    assert "give --overwrite to" in text
    assert len(list(tmp_path.iterdir())) == 1
    assert "(exists)" in run("simulate", tmp_path, *SMALL, "--dry-run")
    run("simulate", tmp_path, *SMALL, "--overwrite")
    assert len(list(tmp_path.iterdir())) == 3


def test_detectors_may_be_named(tmp_path):
    text = run("simulate", tmp_path / "out", "--size", "16", "--exposures", "1", "--detectors", "D1-D3,D6,5", "-n")
    assert [line.partition("_spx")[0][-2:] for line in text.splitlines()[:-1]] == ["D1", "D2", "D3", "D5", "D6"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--detectors", "7"], 2, "'7' is not a list of detectors; expected one such as '1-6' or 'D1,D4'"),
        (["--detectors", "3-1"], 2, "'3-1' is not a list of detectors"),
        (["--center", "north"], 2, "'north' is not a position"),
        (["--center", "10 95"], 2, "'10 95' is not a position"),
        (["--release", "dr1"], 2, "'dr1' is not one of 'qr2', 'qr3'"),
        (["--start", "yesterday"], 1, "--start yesterday is not a SPHEREx observation id"),
    ],
)
def test_bad_options_end_with_a_message(tmp_path, arguments, code, message):
    text = run("simulate", tmp_path / "out", "--size", "16", *arguments, code=code)
    assert message in " ".join(text.split())
    assert not (tmp_path / "out").exists()
