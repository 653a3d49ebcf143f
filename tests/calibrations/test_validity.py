"""Certification in a real repository: plans are carried out whole or not at all, with either database."""

from __future__ import annotations

import pytest
from calibration_repositories import BEGIN, DARK, END, MIDDLE, NEWER_DARK, QR2, QR3, observe, ranges, register
from lsst.daf.butler import Butler, CollectionType

from spherex_butler.calibrations.queries import calibrations_at, candidates, certifications, runs_of_tokens
from spherex_butler.calibrations.ranges import as_time, token_of
from spherex_butler.calibrations.runs import calibration_chain_of, ensure_calibration_run, published_runs
from spherex_butler.calibrations.validity import certify, decertify
from spherex_butler.errors import ConfigurationError, ParameterError
from spherex_butler.names import parse_product_name


@pytest.fixture
def dark_butler(butler: Butler) -> Butler:
    """A repository with darks of three detectors, certified for none."""
    register(butler, "dark", DARK)
    return butler


def listed(butler: Butler, dataset_type: str = "dark", **choices: object) -> list[tuple[object, ...]]:
    return [row[1:] for row in ranges(calibrations_at(butler, dataset_type=dataset_type, **choices))]


def test_ranges_are_replaced_split_and_removed(any_butler):
    register(any_butler, "dark", DARK)
    assert certify(any_butler, release="qr2").summary == "3 certified, 0 replaced, 0 unchanged"
    before = certifications(any_butler)
    assert certify(any_butler, release="qr2").summary == "0 certified, 0 replaced, 3 unchanged"
    assert certifications(any_butler) == before
    register(any_butler, "dark", NEWER_DARK)
    certify(any_butler, token=NEWER_DARK, begin=BEGIN, end=END, detectors=3, replace=True)
    decertify(any_butler, "dark", begin=BEGIN, end=END, detectors=[1])
    outside = [(QR2[0], BEGIN), (END, QR2[1])]
    assert listed(any_butler) == [
        *((1, DARK, "explicit", *span) for span in outside),
        (2, DARK, "release", *QR2),
        (3, DARK, "explicit", *outside[0]),
        (3, NEWER_DARK, "explicit", BEGIN, END),
        (3, DARK, "explicit", *outside[1]),
    ]


def test_what_is_refused_changes_nothing(any_butler):
    register(any_butler, "dark", DARK)
    register(any_butler, "gain_factors", "base-2025-158", None)
    certify(any_butler, "dark", begin=BEGIN, end=END, detectors=2)
    with pytest.raises(ParameterError, match=f"would take the place of {DARK}, valid from {BEGIN} until {END} UTC"):
        certify(any_butler)
    with pytest.raises(ParameterError, match="cannot both be replaced and kept; give replace=True or keep=True"):
        certify(any_butler, replace=True, keep=True)
    assert [row[:2] for row in ranges(calibrations_at(any_butler))] == [("dark", 2)]
    assert certify(any_butler, keep=True).summary == "3 certified, 0 replaced, 0 unchanged"


def test_bound_inside_an_exposure_is_refused_with_its_name(any_butler):
    register(any_butler, "dark", DARK)
    exposure = observe(any_butler)
    expected = (
        rf"The bound {MIDDLE} UTC lies inside exposure {exposure} \(2025W51_1A_0684_2\), which lasted from {BEGIN} "
        f"to {END} UTC; expected one between exposures, such as either of these. Nothing was changed."
    )
    with pytest.raises(ParameterError, match=expected):
        certify(any_butler, begin=MIDDLE)
    assert certifications(any_butler) == []
    assert len(certify(any_butler, begin=BEGIN, end=END).certified) == 3
    with pytest.raises(ParameterError, match=f"lies inside exposure {exposure}"):
        decertify(any_butler, "dark", begin=MIDDLE)


def test_bound_that_later_came_to_lie_inside_an_exposure_can_be_moved(dark_butler):
    register(dark_butler, "dark", NEWER_DARK, [1])
    certify(dark_butler, token=DARK, end=MIDDLE, detectors=1)
    certify(dark_butler, begin=MIDDLE, detectors=1)
    observe(dark_butler)
    certify(dark_butler, token=DARK, begin=BEGIN, end=END, detectors=1, replace=True)
    assert listed(dark_butler)[-1] == (1, NEWER_DARK, "explicit", END, "")


def test_candidates_are_newest_first_by_version_then_date_whatever_the_prefix(butler):
    runs = ["cal-wcs-v10-2025-001", "cal-swcs-v9-2026-191", "cal-wcs-v9-2025-255", "cal-wcs-v9-2025-254"]
    runs += ["cal-wcs-v1-2025-001", "base-2026-158", "base-2025-158", "u/me/better"]
    for token in sorted(runs):
        register(butler, "spectral_wcs", token, [1])
    found = candidates(butler, butler.get_dataset_type("spectral_wcs"), runs_of_tokens(butler, runs))
    assert [token_of(ref.run) for ref in found] == runs


def test_runs_of_others_are_left_out_unless_named(dark_butler):
    register(dark_butler, "dark", "u/me/darks")
    assert {new.token for new in certify(dark_butler).certified} == {DARK}
    assert {new.token for new in certify(dark_butler, token="u/me/darks", replace=True).certified} == {"u/me/darks"}


def test_dry_run_changes_nothing_and_needs_no_writeable_repository(dark_butler):
    with Butler.from_config(dark_butler._config.configDir) as reader:
        report = certify(reader, dry_run=True)
        with pytest.raises(ConfigurationError, match="read-only"):
            certify(reader)
    assert report.summary == "3 certified, 0 replaced, 0 unchanged"
    assert certifications(dark_butler) == []
    certify(dark_butler)
    assert decertify(dark_butler, "dark", dry_run=True).summary == "3 decertified, 0 kept in part"
    assert len(certifications(dark_butler)) == 3


def test_other_collection_is_made_and_must_be_one_of_calibrations(dark_butler):
    certify(dark_butler, collection="u/me/calib")
    assert dark_butler.collections.get_info("u/me/calib").type is CollectionType.CALIBRATION
    assert certifications(dark_butler) == []
    assert len(certifications(dark_butler, collection="u/me/calib")) == 3
    with pytest.raises(ConfigurationError, match=r"'SPHEREx/defaults' is of type CHAINED; expected CALIBRATION"):
        certify(dark_butler, collection="SPHEREx/defaults")


def test_collection_that_does_not_exist_has_nothing(dark_butler):
    assert certifications(dark_butler, collection="u/nobody") == []
    with pytest.raises(ParameterError, match=r"There is no collection 'SPHEREx/cali' .*did you mean 'SPHEREx/calib'"):
        calibrations_at(dark_butler, collection="SPHEREx/cali")
    assert decertify(dark_butler, "dark", collection="u/nobody").summary == "0 decertified, 0 kept in part"
    assert not dark_butler.collections.query("u/nobody*")


def test_type_or_token_that_does_not_exist_is_refused(dark_butler):
    with pytest.raises(ParameterError, match=r"^'level2' is not a calibration type of this repository\. It has abs_"):
        certify(dark_butler, "level2")
    with pytest.raises(ParameterError, match=rf"^Neither tokens nor runs .* 'cal-drk-v9-2025-161'; .* has {DARK}\."):
        certify(dark_butler, "dark", token="cal-drk-v9-2025-161")


def test_release_of_a_token_is_known_from_its_folder_by_a_chain_that_is_not_searched(butler):
    name = parse_product_name(f"dark_D1_spx_{NEWER_DARK}.fits")
    run = f"spx/{NEWER_DARK}"
    for release in (None, "qr3", "qr3"):
        assert ensure_calibration_run(butler, name, release) == run
    assert run in published_runs(butler)["qr3"]
    assert butler.collections.get_info("SPHEREx/calib/qr3").children == (run,)
    assert run not in butler.collections.query("SPHEREx/defaults", flatten_chains=True, include_chains=True)
    register(butler, "dark", NEWER_DARK, [1])
    certify(butler, "dark", release="qr3")
    assert listed(butler) == [(1, NEWER_DARK, "release", *QR3)]


def test_chain_of_calibrations_of_an_unknown_release_is_refused():
    with pytest.raises(ParameterError, match="There is no release 'qr9'"):
        calibration_chain_of("qr9")


def test_list_has_what_is_valid_at_a_time(dark_butler):
    register(dark_butler, "gain_factors", "base-2025-158", None)
    certify(dark_butler, "dark", begin=BEGIN, end=END)
    certify(dark_butler, "gain_factors")
    assert ranges(calibrations_at(dark_butler, BEGIN, detectors=2)) == [
        ("dark", 2, DARK, "explicit", BEGIN, END),
        ("gain_factors", 0, "base-2025-158", "latest", "", ""),
    ]
    assert [row[0] for row in ranges(calibrations_at(dark_butler, as_time(END)))] == ["gain_factors"]
    assert len(calibrations_at(dark_butler, END, dataset_type="dark")) == 0
    table = calibrations_at(dark_butler)
    assert table["detector"].mask.tolist() == [False, False, False, True]
    assert dark_butler.get_dataset(table["id"][0]).run == f"spx/{DARK}"
