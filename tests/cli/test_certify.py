"""Commands about validity: what they print, and their exit status."""

from __future__ import annotations

from pathlib import Path

import pytest
from calibration_repositories import BEGIN, DARK, END, EXPOSURE, MIDDLE, NEWER_DARK, observe, register
from command_line import run
from lsst.daf.butler import Butler
from made_once import copy_repo, open_repo

from spherex_butler.calibrations.validity import certify

IMAGE = ("--exposure", EXPOSURE, "--detector", 3)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository with an exposure and calibrations of two types, not certified."""
    with open_repo(copy_repo(tmp_path / "repo")) as butler:
        register(butler, "dark", DARK, [2, 3])
        register(butler, "gain_factors", "base-2025-158", None)
        observe(butler)
    return tmp_path / "repo"


def test_certify_says_what_it_did(repo):
    assert run("certify", repo).splitlines() == [
        f"certified  dark D2 {DARK}, valid always",
        f"certified  dark D3 {DARK}, valid always",
        "certified  gain_factors all detectors base-2025-158, valid always",
        "3 certified, 0 replaced, 0 unchanged",
    ]
    assert run("certify", repo).endswith("0 certified, 0 replaced, 3 unchanged\n")


def test_dry_run_changes_nothing(repo):
    text = run("certify", repo, "dark", "--detector", 3, "--begin", END, "--dry-run")
    assert text.splitlines()[0] == f"certified  dark D3 {DARK}, valid from {END} UTC"
    assert text.endswith("Nothing was changed.\n")
    assert run("calibrations", repo) == "No calibration is valid.\n"
    run("certify", repo)
    assert "removed  dark D2" in run("decertify", repo, "dark", "--dry-run")
    assert len(run("calibrations", repo).splitlines()) == 5


def test_conflict_is_an_error_until_replace_is_given(repo):
    run("certify", repo)
    with Butler.from_config(repo, writeable=True) as butler:
        register(butler, "dark", NEWER_DARK, [3])
    options = ("certify", repo, "dark", "--token", NEWER_DARK, "--release", "qr3")
    text = run(*options, code=1)
    assert text.startswith(f"Error: Certified otherwise already: dark D3 {NEWER_DARK}")
    assert text.endswith(
        "Nothing was changed; --replace trims, splits or removes what is in the way, --keep leaves it and certifies "
        "the others.\n"
    )
    assert "0 certified, 0 replaced, 0 unchanged" in run(*options, "--keep")
    assert "1 certified, 1 replaced, 0 unchanged" in run(*options, "--replace")


def test_what_is_valid_already_is_said_as_it_is_on_record(repo):
    run("certify", repo, "dark")
    assert run("certify", repo, "dark", "--rule", "release", "--detector", 3, "--replace").splitlines() == [
        f"unchanged  dark D3 {DARK}, valid always",
        f"dark D3: no token of qr3 is known; certify one of {DARK} by --token …, with --release qr3.",
        "0 certified, 0 replaced, 1 unchanged",
    ]


def test_bounds_and_rules_are_checked(repo):
    assert f"lies inside exposure 20255110106842 ({EXPOSURE})" in run("certify", repo, "--begin", MIDDLE, code=1)
    assert f"dark D3 {DARK}, valid from 2025-04-24T00:00:00 until" in run("certify", repo, "--rule", "release")


def test_decertify_says_what_it_did(repo):
    run("certify", repo)
    assert run("decertify", repo, "dark", "--detector", 2, "--begin", BEGIN, "--end", END).splitlines() == [
        f"removed  dark D2 {DARK}, valid from {BEGIN} until {END} UTC",
        f"kept     dark D2 {DARK}, valid until {BEGIN} UTC",
        f"kept     dark D2 {DARK}, valid from {END} UTC",
        "1 decertified, 2 kept in part",
    ]
    assert "Missing argument 'TYPE...'" in run("decertify", repo, code=2)


def test_calibrations_lists_what_is_valid_then(repo):
    run("certify", repo, "dark", "--begin", END)
    run("certify", repo, "gain_factors")
    assert [line.split()[0] for line in run("calibrations", repo, "--at", BEGIN).splitlines()[2:]] == ["gain_factors"]
    (line,) = run("calibrations", repo, "dark", "--detector", 3).splitlines()[2:]
    assert line.split()[:5] == ["dark", "3", DARK, "explicit", END]


def test_explain_tells_why(repo):
    run("certify", repo)
    text = run("explain", repo, "dark", "gain_factors", *IMAGE)
    assert f"dark for exposure 20255110106842 ({EXPOSURE}), detector 3" in text
    assert f"It gets {DARK}" in text
    assert "It gets base-2025-158" in text
    assert run("explain", repo, "dark", "gain_factors", "--exposure", "20255110106842", "--detector", 3) == text
    assert "It gets none" in run("explain", repo, "dark", *IMAGE, "--collection", "u/me/calib", code=1)


def test_names_of_detectors_are_understood(repo):
    assert "dark D3" in run("certify", repo, "dark", "--detector", "D3")
    assert "dark" in run("calibrations", repo, "--detector", "D3")
    by_name = run("explain", repo, "dark", "--exposure", EXPOSURE, "--detector", "D3")
    assert by_name == run("explain", repo, "dark", *IMAGE)
    assert "removed  dark D3" in run("decertify", repo, "dark", "--detector", "D3")


def test_explain_fails_where_an_image_gets_none_or_is_none(repo):
    text = run("explain", repo, "dark", *IMAGE, code=1)
    assert "It gets none: nothing was valid then." in text
    assert f"not certified    {DARK}" in text
    assert "Give --detector …: 'dark' is looked up by detector" in run(
        "explain", repo, "dark", "--exposure", EXPOSURE, code=1
    )
    text = run("explain", repo, "dark", "--exposure", "yesterday", code=2)
    assert "'yesterday' is not an observation id" in text
    assert "An exposure id such as 20255110106842 will do, too" in text


def test_other_collection_can_be_named(repo):
    run("certify", repo, "--collection", "u/me/calib")
    assert run("calibrations", repo) == "No calibration is valid.\n"
    assert DARK in run("calibrations", repo, "--collection", "u/me/calib")
    with Butler.from_config(repo, writeable=True) as butler:
        assert certify(butler).certified
