"""Certification: which validity ranges each rule gives, what it replaces and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from astropy.time import Time
from calibration_repositories import BEGIN, DARK, END, MIDDLE, NEWER_DARK, QR2, QR3, observe, ranges, register
from lsst.daf.butler import Butler, CollectionType

from spherex_butler.calibrations.queries import calibrations_at, certifications
from spherex_butler.calibrations.ranges import as_time
from spherex_butler.calibrations.runs import calibration_chain_of, ensure_calibration_run, published_runs
from spherex_butler.calibrations.validity import certify, decertify
from spherex_butler.errors import ConfigurationError, ParameterError
from spherex_butler.names import parse_product_name
from spherex_butler.repository.creation import make_repo


@pytest.fixture
def dark_butler(butler: Butler) -> Butler:
    """A repository with darks of three detectors, certified for none."""
    register(butler, "dark", DARK)
    return butler


@pytest.fixture(params=["sqlite", "postgresql"])
def any_butler(request: pytest.FixtureRequest, tmp_path) -> Iterator[Butler]:
    """The same, with either database."""
    database = request.getfixturevalue("postgres_database") if request.param == "postgresql" else None
    with make_repo(tmp_path / "repo", database=database) as butler:
        register(butler, "dark", DARK)
        yield butler


def listed(butler: Butler, dataset_type: str = "dark", **choices: object) -> list[tuple[object, ...]]:
    return [row[1:] for row in ranges(calibrations_at(butler, dataset_type=dataset_type, **choices))]


class TestEitherDatabase:
    def test_latest_certifies_the_newest_token_always(self, any_butler):
        register(any_butler, "dark", NEWER_DARK)
        report = certify(any_butler)
        assert report.summary == "3 certified, 0 replaced, 0 unchanged"
        assert listed(any_butler) == [(d, NEWER_DARK, "latest", "", "") for d in (1, 2, 3)]

    def test_token_reissued_for_one_detector_replaces_only_that(self, any_butler):
        certify(any_butler)
        register(any_butler, "dark", NEWER_DARK, [2])
        report = certify(any_butler)
        assert [(str(new.ref.run), new.ref.dataId["detector"]) for new in report.certified] == [
            (f"spx/{NEWER_DARK}", 2)
        ]
        assert [old.token for old in report.replaced] == [DARK]
        assert listed(any_butler) == [
            (1, DARK, "latest", "", ""),
            (2, NEWER_DARK, "latest", "", ""),
            (3, DARK, "latest", "", ""),
        ]

    def test_same_again_is_no_change(self, any_butler):
        certify(any_butler, release="qr2")
        before = certifications(any_butler)
        report = certify(any_butler, release="qr2")
        assert report.summary == "0 certified, 0 replaced, 3 unchanged"
        assert certifications(any_butler) == before

    def test_replace_splits_what_is_in_the_way(self, any_butler):
        certify(any_butler)
        register(any_butler, "dark", NEWER_DARK)
        certify(any_butler, token=NEWER_DARK, begin=BEGIN, end=END, detectors=3, replace=True)
        assert listed(any_butler, detectors=3) == [
            (3, DARK, "explicit", "", BEGIN),
            (3, NEWER_DARK, "explicit", BEGIN, END),
            (3, DARK, "explicit", END, ""),
        ]
        assert listed(any_butler, detectors=2) == [(2, DARK, "latest", "", "")]

    def test_decertify_in_the_middle_leaves_both_ends(self, any_butler):
        certify(any_butler, release="qr2")
        report = decertify(any_butler, "dark", begin=BEGIN, end=END, detectors=[1])
        assert report.summary == "1 decertified, 2 kept in part"
        assert listed(any_butler, detectors=1) == [
            (1, DARK, "explicit", QR2[0], BEGIN),
            (1, DARK, "explicit", END, QR2[1]),
        ]
        assert listed(any_butler, detectors=2) == [(2, DARK, "release", *QR2)]

    def test_overlap_is_refused_with_nothing_changed(self, any_butler):
        certify(any_butler, begin=BEGIN, end=END, detectors=2)
        with pytest.raises(ParameterError, match=f"would take the place of {DARK}, valid from {BEGIN} until {END} UTC"):
            certify(any_butler)
        assert listed(any_butler) == [(2, DARK, "explicit", BEGIN, END)]

    def test_bound_inside_an_exposure_is_refused_with_its_name(self, any_butler):
        exposure = observe(any_butler)
        expected = (
            rf"The bound {MIDDLE} UTC lies inside exposure {exposure} \(2025W51_1A_0684_2\), which lasted from {BEGIN} "
            f"to {END} UTC; expected one between exposures, such as either of these. Nothing was changed."
        )
        with pytest.raises(ParameterError, match=expected):
            certify(any_butler, begin=MIDDLE)
        assert certifications(any_butler) == []

    @pytest.mark.parametrize("bound", [BEGIN, END])
    def test_bound_at_either_end_of_an_exposure_is_taken(self, any_butler, bound):
        observe(any_butler)
        assert len(certify(any_butler, end=bound).certified) == 3


def test_older_token_that_comes_later_changes_nothing(butler):
    register(butler, "dark", NEWER_DARK, [1])
    certify(butler)
    register(butler, "dark", DARK, [1])
    assert certify(butler).summary == "0 certified, 0 replaced, 1 unchanged"


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("cal-wcs-v4-2025-254", "cal-swcs-v5-2026-191"),
        ("cal-wcs-v9-2025-254", "cal-wcs-v10-2025-001"),
        ("cal-wcs-v4-2025-254", "cal-wcs-v4-2025-255"),
        ("base-2026-158", "cal-wcs-v1-2025-001"),
        ("base-2025-158", "base-2026-001"),
        ("u/me/better", "base-2025-158"),
    ],
)
def test_newest_is_by_version_then_date_whatever_the_prefix(butler, older, newer):
    for token in (newer, older):
        register(butler, "spectral_wcs", token, [1])
    assert [new.token for new in certify(butler, token=[older, newer]).certified] == [newer]


def test_every_type_is_certified_and_those_for_all_detectors(butler):
    register(butler, "dark", DARK)
    register(butler, "gain_factors", "base-2025-158", None)
    certify(butler)
    assert ranges(calibrations_at(butler))[-1] == ("gain_factors", 0, "base-2025-158", "latest", "", "")
    assert calibrations_at(butler)["detector"].mask.tolist() == [False, False, False, True]


def test_runs_of_others_are_left_out_unless_named(dark_butler):
    register(dark_butler, "dark", "u/me/darks")
    assert {new.token for new in certify(dark_butler).certified} == {DARK}
    assert {new.token for new in certify(dark_butler, token="u/me/darks", replace=True).certified} == {"u/me/darks"}


def test_what_somebody_certified_always_is_not_replaced_by_a_rule(dark_butler):
    register(dark_butler, "dark", "u/me/darks")
    certify(dark_butler, token="u/me/darks")
    with pytest.raises(ParameterError, match=r"would take the place of u/me/darks, valid always \(latest\)"):
        certify(dark_butler)


def test_older_token_asked_for_by_name_needs_replace(dark_butler):
    register(dark_butler, "dark", NEWER_DARK)
    certify(dark_butler)
    with pytest.raises(ParameterError, match=f"{DARK}, valid always, would take the place of {NEWER_DARK}"):
        certify(dark_butler, "dark", token=DARK)
    assert certify(dark_butler, "dark", token=DARK, replace=True).summary == "3 certified, 3 replaced, 0 unchanged"


def test_release_certifies_for_each_release_its_newest_token(butler):
    for token in ("cal-psf-v4-2025-161", "cal-psf-v5-2026-082"):
        register(butler, "average_psf", token, [1])
    register(butler, "solid_angle_pixel_map", "cal-sapm-v2-2025-164", [1])
    register(butler, "solid_angle_pixel_map", "cal-sapm-v3-2026-191", [1])
    report = certify(butler, rule="release")
    assert ranges(calibrations_at(butler)) == [
        ("average_psf", 1, "cal-psf-v5-2026-082", "release", *QR2),
        ("solid_angle_pixel_map", 1, "cal-sapm-v2-2025-164", "release", *QR2),
        ("solid_angle_pixel_map", 1, "cal-sapm-v3-2026-191", "release", *QR3),
    ]
    (note,) = report.notes
    assert note.startswith("average_psf D1: no token of qr3 is known; give one of ['cal-psf-v4-2025-161', 'cal-psf-v5")


def test_newer_token_of_a_release_replaces_the_older(butler):
    register(butler, "average_psf", "cal-psf-v4-2025-161", [1])
    certify(butler, release="qr2")
    register(butler, "average_psf", "cal-psf-v5-2026-082", [1])
    assert certify(butler, release="qr2").summary == "1 certified, 1 replaced, 0 unchanged"


def test_release_of_a_token_is_known_from_its_folder(butler):
    name = parse_product_name("dark_D1_spx_cal-drk-v7-2026-200.fits")
    ensure_calibration_run(butler, name, "qr3")
    register(butler, "dark", "cal-drk-v7-2026-200", [1])
    certify(butler, "dark", release="qr3")
    assert listed(butler) == [(1, "cal-drk-v7-2026-200", "release", *QR3)]


def test_calibration_runs_are_in_no_chain_that_is_searched(butler):
    name = parse_product_name("dark_D1_spx_cal-drk-v7-2026-200.fits")
    for release in (None, "qr3", "qr3", "qr2"):
        assert ensure_calibration_run(butler, name, release) == "spx/cal-drk-v7-2026-200"
    searched = butler.collections.query("SPHEREx/defaults", flatten_chains=True, include_chains=True)
    assert "spx/cal-drk-v7-2026-200" not in searched
    assert butler.collections.get_info("SPHEREx/calib/qr3").children == ("spx/cal-drk-v7-2026-200",)
    assert "spx/cal-drk-v7-2026-200" in published_runs(butler)["qr2"]


def test_chain_of_calibrations_of_no_release_is_refused():
    with pytest.raises(ParameterError, match="There is no release 'qr9'"):
        calibration_chain_of("qr9")


def test_release_without_a_known_token_is_an_error_if_asked_for_by_name(dark_butler):
    with pytest.raises(ParameterError, match=f"dark D1, D2, D3: no token of qr3 is known; give one of .'{DARK}'."):
        certify(dark_butler, "dark", release="qr3")
    certify(dark_butler, "dark", release="qr3", token=DARK)
    assert listed(dark_butler) == [(d, DARK, "release", *QR3) for d in (1, 2, 3)]


def test_release_without_a_time_of_its_own_is_refused(dark_butler):
    with pytest.raises(ParameterError, match="'qr1' has no time of its own: later ones hold its observations"):
        certify(dark_butler, release="qr1")


def test_unknown_release_is_refused(dark_butler):
    with pytest.raises(ParameterError, match="There is no release 'qr9'"):
        certify(dark_butler, release="qr9")


def test_explicit_range_may_be_open_at_either_end(dark_butler):
    certify(dark_butler, "dark", begin=END, detectors=1)
    certify(dark_butler, "dark", end=BEGIN, detectors=1)
    assert listed(dark_butler) == [(1, DARK, "explicit", "", BEGIN), (1, DARK, "explicit", END, "")]


def test_times_are_kept_as_tai(dark_butler):
    certify(dark_butler, "dark", begin="2026-01-01T00:00:00", detectors=1)
    (found,) = certifications(dark_butler, "dark")
    assert found.timespan.begin.isclose(Time("2026-01-01T00:00:37", scale="tai"))


def test_dataset_that_is_valid_in_the_whole_range_is_left_as_it_is(dark_butler):
    certify(dark_butler)
    assert certify(dark_butler, release="qr2").summary == "0 certified, 0 replaced, 3 unchanged"
    decertify(dark_butler, "dark", begin=BEGIN, end=END)
    certify(dark_butler, begin=BEGIN, end=END)
    assert certify(dark_butler).summary == "0 certified, 0 replaced, 3 unchanged"


def test_hole_that_somebody_left_is_not_filled_without_being_told_to(dark_butler):
    certify(dark_butler)
    decertify(dark_butler, "dark", begin=BEGIN, end=END, detectors=1)
    with pytest.raises(ParameterError, match="Certified otherwise already"):
        certify(dark_butler)
    certify(dark_butler, replace=True)
    assert listed(dark_butler, detectors=1) == [(1, DARK, "latest", "", "")]


def test_conflict_of_one_detector_keeps_all_from_being_certified(dark_butler):
    register(dark_butler, "gain_factors", "base-2025-158", None)
    certify(dark_butler, "dark", end=BEGIN, detectors=3)
    with pytest.raises(
        ParameterError, match="Nothing was changed; replace trims, splits or removes what is in the way, keep lea"
    ):
        certify(dark_butler)
    assert len(certifications(dark_butler)) == 1


def test_many_conflicts_are_counted(dark_butler):
    register(dark_butler, "nonfunc", "base-2025-158")
    certify(dark_butler, end=BEGIN)
    with pytest.raises(ParameterError, match=r"D2 .*; and 1 more\. Nothing was changed"):
        certify(dark_butler)


def test_what_is_certified_otherwise_can_be_kept(dark_butler):
    certify(dark_butler, end=BEGIN, detectors=2)
    report = certify(dark_butler, "dark", keep=True)
    assert report.summary == "2 certified, 0 replaced, 0 unchanged"
    assert report.notes == [
        f"dark D2 {DARK}, valid always, would take the place of {DARK}, valid until {BEGIN} UTC (explicit)"
    ]
    assert listed(dark_butler, detectors=2) == [(2, DARK, "explicit", "", BEGIN)]


def test_dry_run_changes_nothing_and_needs_no_writeable_repository(dark_butler):
    with Butler.from_config(dark_butler._config.configDir) as reader:
        report = certify(reader, dry_run=True)
    assert report.summary == "3 certified, 0 replaced, 0 unchanged"
    assert certifications(dark_butler) == []
    certify(dark_butler)
    assert decertify(dark_butler, "dark", dry_run=True).summary == "3 decertified, 0 kept in part"
    assert len(certifications(dark_butler)) == 3


def test_report_is_for_reading(dark_butler):
    certify(dark_butler, detectors=1)
    register(dark_butler, "dark", NEWER_DARK, [1])
    assert str(certify(dark_butler)).splitlines() == [
        f"certified  dark D1 {NEWER_DARK}, valid always",
        f"certified  dark D2 {DARK}, valid always",
        f"certified  dark D3 {DARK}, valid always",
        f"replaced   dark D1 {DARK}, valid always",
        "3 certified, 1 replaced, 0 unchanged",
    ]
    assert str(decertify(dark_butler, "dark", begin=BEGIN, detectors=3)).splitlines() == [
        f"removed  dark D3 {DARK}, valid from {BEGIN} UTC",
        f"kept     dark D3 {DARK}, valid until {BEGIN} UTC",
        "1 decertified, 1 kept in part",
    ]


def test_other_collection_is_made_and_must_be_one_of_calibrations(dark_butler):
    certify(dark_butler, collection="u/me/calib")
    assert dark_butler.collections.get_info("u/me/calib").type is CollectionType.CALIBRATION
    assert certifications(dark_butler) == []
    assert len(certifications(dark_butler, collection="u/me/calib")) == 3
    with pytest.raises(ConfigurationError, match=r"'SPHEREx/defaults' is of type CHAINED; expected CALIBRATION"):
        certify(dark_butler, collection="SPHEREx/defaults")


def test_collection_that_does_not_exist_has_nothing(dark_butler):
    assert certifications(dark_butler, collection="u/nobody") == []
    assert decertify(dark_butler, "dark", collection="u/nobody").summary == "0 decertified, 0 kept in part"
    assert not dark_butler.collections.query("u/nobody*")


def test_decertify_of_what_is_not_certified_changes_nothing(dark_butler):
    assert decertify(dark_butler, "dark").summary == "0 decertified, 0 kept in part"
    certify(dark_butler, begin=END)
    assert decertify(dark_butler, "dark", end=BEGIN).removed == []


def test_decertify_can_be_of_one_token(dark_butler):
    register(dark_butler, "dark", NEWER_DARK, [1])
    certify(dark_butler)
    decertify(dark_butler, "dark", token=DARK)
    assert listed(dark_butler) == [(1, NEWER_DARK, "latest", "", "")]


def test_decertify_inside_an_exposure_is_refused_unless_the_bound_is_there(dark_butler):
    certify(dark_butler, begin=MIDDLE, detectors=1)
    exposure = observe(dark_butler)
    certify(dark_butler, detectors=2)
    with pytest.raises(ParameterError, match=f"lies inside exposure {exposure}"):
        decertify(dark_butler, "dark", begin=MIDDLE)
    decertify(dark_butler, "dark", begin=MIDDLE, detectors=1)
    assert listed(dark_butler) == [(2, DARK, "latest", "", "")]


@pytest.mark.parametrize("bounds", [{"begin": MIDDLE}, {"begin": "2025-06-01", "end": MIDDLE}])
def test_bound_beyond_the_range_cuts_nothing(dark_butler, bounds):
    certify(dark_butler, begin="2025-05-01", end="2025-12-01", detectors=1)
    certify(dark_butler, begin="2026-01-01", detectors=2)
    observe(dark_butler)
    assert len(decertify(dark_butler, "dark", **bounds).removed) == 1


def test_release_without_a_token_of_its_own_asks_for_none_where_a_type_is_for_others(butler):
    register(butler, "l3_flux_corrections", "cal-flxc-v1-2026-191", [1])
    assert certify(butler, rule="release").notes == []
    assert listed(butler, "l3_flux_corrections") == [(1, "cal-flxc-v1-2026-191", "release", *QR2)]


def test_type_for_the_images_of_another_release_can_be_had_for_its_own_by_token(butler):
    register(butler, "l3_flux_corrections", "cal-flxc-v1-2026-191", [1])
    with pytest.raises(ParameterError, match="l3_flux_corrections D1: no token of qr3 is known; give one of"):
        certify(butler, "l3_flux_corrections", release="qr3")
    certify(butler, "l3_flux_corrections", release="qr3", token="cal-flxc-v1-2026-191")
    assert listed(butler, "l3_flux_corrections") == [(1, "cal-flxc-v1-2026-191", "release", *QR3)]


def test_bound_that_later_came_to_lie_inside_an_exposure_can_be_moved(dark_butler):
    register(dark_butler, "dark", NEWER_DARK, [1])
    certify(dark_butler, token=DARK, end=MIDDLE, detectors=1)
    certify(dark_butler, begin=MIDDLE, detectors=1)
    observe(dark_butler)
    certify(dark_butler, token=DARK, begin=BEGIN, end=END, detectors=1, replace=True)
    assert listed(dark_butler)[-1] == (1, NEWER_DARK, "explicit", END, "")


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"rule": "newest"}, r"There is no rule 'newest'; expected one of \['latest', 'release', 'explicit'\]"),
        ({"release": "qr2", "begin": BEGIN}, "Give begin and end, or release='qr2', which has its own; not both"),
        (
            {"rule": "latest", "begin": BEGIN},
            "The rule 'latest' does not go with the other choices, which are for 'exp",
        ),
        ({"rule": "latest", "release": "qr2"}, "'latest' does not go with the other choices, which are for 'release'"),
        (
            {"rule": "explicit"},
            "'explicit' takes begin, end or both, 'release' a release or none for all, 'latest' noth",
        ),
        ({"begin": END, "end": BEGIN}, f"The range from {END} to {BEGIN} is empty; expected a begin before the end"),
        ({"replace": True, "keep": True}, "cannot both be replaced and kept; give one of replace and keep"),
        ({"begin": "noon"}, "'noon' is no time; expected UTC such as '2026-07-20T00:00:00', or an astropy Time"),
        ({"token": "cal-drk-v9-2025-161"}, rf"\['cal-drk-v9-2025-161'\] are neither tokens nor runs.*\['{DARK}'\]"),
        ({"detectors": []}, "detectors is empty; leave it out for all"),
        ({"detectors": [3, 4]}, rf"The repository has no dark of detectors \[4\]: it has the tokens \['{DARK}'\]"),
    ],
)
def test_choices_that_make_no_sense_are_refused(dark_butler, choices, message):
    with pytest.raises(ParameterError, match=message):
        certify(dark_butler, "dark", **choices)


@pytest.mark.parametrize(
    ("dataset_type", "choices", "message"),
    [
        ("level2", {}, r"\['level2'\] are no calibration dataset types of this repository; it has \['abs_gain_matrix'"),
        ("nonfunc", {}, "The repository has no nonfunc: it has none at all; ingest what is missing first"),
        ("gain_factors", {"detectors": 3}, r"One gain_factors is for all detectors; leave out detectors \[3\]"),
        (None, {"detectors": 7}, "There is nothing to certify"),
        (None, {"release": "qr3"}, "There is nothing to certify. dark D1, D2, D3: no token of qr3 is known"),
    ],
)
def test_what_is_not_there_is_not_certified(dark_butler, dataset_type, choices, message):
    with pytest.raises(ParameterError, match=message):
        certify(dark_butler, dataset_type, **choices)


def test_read_only_repository_is_refused(dark_butler):
    with (
        Butler.from_config(dark_butler._config.configDir) as reader,
        pytest.raises(ConfigurationError, match="read-only"),
    ):
        certify(reader)


def test_list_at_a_time_has_what_is_valid_then(butler):
    register(butler, "dark", DARK)
    register(butler, "gain_factors", "base-2025-158", None)
    certify(butler, "dark", begin=BEGIN, end=END)
    certify(butler, "gain_factors")
    assert [row[:2] for row in ranges(calibrations_at(butler, BEGIN, detectors=2))] == [
        ("dark", 2),
        ("gain_factors", 0),
    ]
    assert [row[0] for row in ranges(calibrations_at(butler, as_time(END)))] == ["gain_factors"]
    assert len(calibrations_at(butler, END, dataset_type="dark")) == 0


def test_listed_ids_are_those_of_datasets(dark_butler):
    certify(dark_butler)
    assert [dark_butler.get_dataset(i).run for i in calibrations_at(dark_butler)["id"]] == [f"spx/{DARK}"] * 3
