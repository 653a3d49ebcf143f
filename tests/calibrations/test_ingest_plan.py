"""What calibration ingest makes of paths, without a repository: files found, and those that are refused."""

from __future__ import annotations

import gzip
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from calibration_repositories import DARK
from http_server import serve

from spherex_butler.calibrations.ingest_plan import calibration_definitions, plan_calibrations
from spherex_butler.errors import ParameterError
from spherex_butler.testing import CALIBRATION_TYPES, write_calibration

FILES = {"dark": (DARK, 3), "spectral_channels": ("cal-sch-v1-2026-106", None), "gain_factors": ("base-2025-158", None)}


def write(folder: Path, kind: str) -> Path:
    token, detector = FILES[kind]
    return write_calibration(folder, kind, token, detector=detector)


def truncated(size: int) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(path.read_bytes()[:size])


def replaced(content: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(content)


def test_every_product_has_a_dataset_type():
    assert sorted(calibration_definitions()) == sorted(CALIBRATION_TYPES)


def test_plan_says_what_each_file_is(tmp_path):
    for detector in (3, 2, 1):
        write_calibration(tmp_path, "dark", DARK, detector=detector)
    planned, failed = plan_calibrations(str(tmp_path / "qr2" / "dark" / "*" / "[12]" / "*.fits"), processes=2)
    assert failed == []
    assert [(file.name.dataset_type, file.data_id, file.release, file.archive_id) for file in planned] == [
        ("dark", {"instrument": "SPHEREx", "detector": detector}, "qr2", None) for detector in (1, 2)
    ]


@pytest.mark.parametrize(
    ("kind", "spoil", "reason"),
    [
        ("dark", truncated(-3000), "is truncated in HDU 'DARK'"),
        ("dark", truncated(400), "has no END card"),
        ("dark", replaced(""), "expected the start of a FITS file"),
        ("dark", replaced("nothing" * 1000), "expected the start of a FITS file"),
        (
            "dark",
            lambda path: fits.setval(path, "DETECTOR", value="4", ext=1),
            "The name says detector 3, HDU 'DARK' says DETECTOR='4'; expected the same",
        ),
        (
            "dark",
            lambda path: fits.append(path, np.zeros((48, 48))),
            "The file holds images in 1 'DARK', 2 ''; expected one image",
        ),
        ("spectral_channels", truncated(-50), "is gzipped and cannot be unzipped"),
        ("gain_factors", replaced("gains: [1, 2"), "cannot be read as YAML of plain values"),
        ("gain_factors", replaced("!!python/object/apply:os.getcwd []"), "could not determine a constructor for the"),
        ("gain_factors", replaced("[" * 3000), "cannot be read as YAML of plain values"),
        ("gain_factors", replaced("- 1\n- 2\n"), "holds list; expected a YAML mapping"),
        ("gain_factors", replaced(""), "holds NoneType; expected a YAML mapping"),
    ],
)
def test_spoilt_file_is_refused_and_the_others_are_taken(tmp_path, kind, spoil, reason):
    bad = write(tmp_path, kind)
    good = write_calibration(tmp_path, "dark", DARK, detector=2)
    spoil(bad)
    planned, (failed,) = plan_calibrations(tmp_path)
    assert ([file.uri for file in planned], failed.uri) == ([good.as_uri()], bad.as_uri())
    assert reason in failed.reason


def test_gzipped_file_without_data_is_taken(tmp_path):
    path = write(tmp_path, "spectral_channels")
    path.write_bytes(gzip.compress(b"SIMPLE  =                    T".ljust(80) + b"END".ljust(2800)))
    assert plan_calibrations(path)[1] == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("level2_2025W51_1A_0684_2D3_spx_l2b-v21-2025-354.fits", "is a 'level2'; expected a calibration: abs_gain"),
        ("flat_D3_spx_base-2025-158.fits", "is a 'flat'; expected a calibration: abs_gain_matrix, "),
        ("dark_spx_cal-drk-v4-2025-161.fits", "is not the name of a 'dark', a file of which is that of one detector"),
        ("gain_factors_D3_spx_base-2025-158.yaml", "a file of which is one for all detectors"),
        ("dark_D3_spx_cal-drk-v4-2025-161.yaml", "is a 'yaml' file; expected FITS of 'dark'"),
        ("gain_factors_spx_base-2025-158.fits", "is a 'fits' file; expected YAML of 'gain_factors'"),
        ("dark_D7_spx_cal-drk-v4-2025-161.fits", "is not the name of a SPHEREx product"),
        ("dark_D3_spx_v4.fits", "is not a processing token"),
        ("dark.fits", "is not the name of a SPHEREx product"),
    ],
)
def test_name_of_no_calibration_is_refused(tmp_path, name, reason):
    path = tmp_path / name
    path.write_bytes(b"")
    assert reason in plan_calibrations(path)[1][0].reason


def test_folder_is_searched_for_calibrations_only(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "there is no calibration file in this folder" in plan_calibrations(tmp_path / "empty")[1][0].reason
    dark = write(tmp_path, "dark")
    for name in ("level2_2025W51_1A_0684_2D3_spx_l2b-v21-2025-354.fits", "dark.fits", "dark_notes.txt", ".hidden"):
        (dark.parent / name).write_text("nothing")
    (dark.parent / "dark_D7_spx_cal-drk-v4-2025-161.fits").write_text("nothing")
    (planned,), (failed,) = plan_calibrations(tmp_path)
    assert planned.uri == dark.as_uri()
    assert failed.uri.endswith("dark_D7_spx_cal-drk-v4-2025-161.fits")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"processes": 0}, "processes=0 is not possible"),
        ({"archive_ids": {"a.fits": "seven"}}, "The archive's id of 'a.fits' is given as 'seven'; expected a UUID"),
        (
            {"archive_ids": {name: uuid.UUID(int=1) for name in ("a.fits", "b.fits")}},
            f"'a.fits' and 'b.fits' are both given the archive's id {uuid.UUID(int=1)}",
        ),
    ],
)
def test_option_without_meaning_is_refused(tmp_path, options, reason):
    with pytest.raises(ParameterError, match=reason):
        plan_calibrations(tmp_path, **options)


def test_files_of_a_server_are_looked_at_as_local_ones_are(tmp_path):
    whole = write(tmp_path, "dark")
    broken = Path(shutil.copy(whole, whole.with_name(f"dark_D2_spx_{DARK}.fits")))
    truncated(-3000)(broken)
    with serve(whole.parent) as served:
        names = (whole.name, broken.name, f"dark_D1_spx_{DARK}.fits")
        (planned,), failed = plan_calibrations([f"{served.url}/{name}" for name in names])
    assert planned.uri.endswith(whole.name)
    assert "is truncated in HDU 'DARK'" in failed[0].reason
    assert "FileNotFoundError" in failed[1].reason
