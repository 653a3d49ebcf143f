"""Plans of certifications: which ranges each rule gives, what they replace, what is refused; without a repository."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import pytest
from calibration_repositories import BEGIN, DARK, END, NEWER_DARK, QR3
from lsst.daf.butler import DataCoordinate, DatasetRef, DatasetType, DimensionUniverse

from spherex_butler import dimension_config
from spherex_butler.calibrations.ranges import Certification, format_time, range_text
from spherex_butler.calibrations.reports import CertificationReport, DecertificationReport
from spherex_butler.calibrations.validity_plan import (
    Registered,
    Request,
    plan_certification,
    plan_decertification,
)
from spherex_butler.errors import ParameterError
from spherex_butler.repository.runs import calibration_tokens

UNIVERSE = DimensionUniverse(dimension_config())
REPLACE, KEEP = {"replace": True}, {"keep": True}
BETWEEN = {"begin": BEGIN, "end": END}
IN_QR2, IN_QR3 = (range_text(span) for span in Request(rule="release").ranges.values())
GAINS, FLUX, SOLID = "gain_factors", "l3_flux_corrections", "solid_angle_pixel_map"


class Calibrations:
    """What a repository has of calibrations, as values: its datasets, newest first, and its validity ranges."""

    def __init__(self) -> None:
        self.refs: dict[DatasetType, list[DatasetRef]] = {}
        self.certified: list[Certification] = []
        self.published = {name: {f"spx/{token}" for token in calibration_tokens(name)} for name in ("qr2", "qr3")}

    def register(self, name: str, token: str, *detectors: int) -> list[DatasetRef]:
        """Add the newest datasets of a type; one for all detectors if none is given."""
        kind = DatasetType(name, ["detector"] if detectors else ["instrument"], "CCDData", universe=UNIVERSE)
        ids = [{"instrument": "SPHEREx", "detector": detector} for detector in detectors] or [{"instrument": "SPHEREx"}]
        run = token if "/" in token else f"spx/{token}"
        new = [DatasetRef(kind, DataCoordinate.standardize(i, dimensions=kind.dimensions), run=run) for i in ids]
        self.refs[kind] = [*new, *self.refs.get(kind, [])]
        return new

    def plan(self, **choices: object) -> CertificationReport:
        request = Request(**choices)
        refs = {kind: [r for r in found if r.run in (request.runs or [r.run])] for kind, found in self.refs.items()}
        return plan_certification(Registered(refs, self.certified, self.published), request)

    def certify(self, **choices: object) -> CertificationReport:
        report = self.plan(**choices)
        self.change(report.displaced, report.certified)
        return report

    def decertify(self, **choices: object) -> DecertificationReport:
        report = plan_decertification(self.certified, Request(**choices))
        self.change(report.removed)
        return report

    def change(self, ended: list[Certification], begun: Sequence[Certification] = ()) -> None:
        """Change the ranges as Butler would."""
        for gone in ended:
            (old,) = (one for one in self.certified if one.ref == gone.ref and one.timespan.overlaps(gone.timespan))
            self.certified.remove(old)
            self.certified += [Certification(old.ref, part) for part in old.timespan.difference(gone.timespan)]
        self.certified = sorted([*self.certified, *begun], key=lambda one: (one.key, one.timespan.nsec))

    @property
    def valid(self) -> list[str]:
        return [f"{one.label} {one.description}" for one in self.certified]


@pytest.fixture
def darks() -> Calibrations:
    """Darks of three detectors, certified for none."""
    found = Calibrations()
    found.register("dark", DARK, 1, 2, 3)
    return found


def always(*tokens: str, rule: str = "always (latest)") -> list[str]:
    """Return the ranges of darks of the detectors from 1 on."""
    return [f"dark D{detector} {token}, valid {rule}" for detector, token in enumerate(tokens, start=1)]


# What each rule gives.


def test_newer_token_takes_the_place_of_an_older_only_for_its_detectors(darks):
    assert darks.certify().summary == "3 certified, 0 replaced, 0 unchanged"
    darks.register("dark", NEWER_DARK, 2)
    report = darks.certify()
    assert (report.summary, [old.token for old in report.replaced]) == (
        "1 certified, 1 replaced, 2 unchanged",
        [DARK],
    )
    assert darks.valid == always(DARK, NEWER_DARK, DARK)


def test_release_certifies_for_each_release_its_newest_token():
    found = Calibrations()
    for token in ("cal-psf-v4-2025-161", "cal-psf-v5-2026-082"):
        found.register("average_psf", token, 1)
    for token in ("cal-sapm-v2-2025-164", "cal-sapm-v3-2026-191"):
        found.register(SOLID, token, 1)
    report = found.certify(rule="release", named=False)
    assert found.valid == [
        f"average_psf D1 cal-psf-v5-2026-082, valid {IN_QR2} (release)",
        f"{SOLID} D1 cal-sapm-v2-2025-164, valid {IN_QR2} (release)",
        f"{SOLID} D1 cal-sapm-v3-2026-191, valid {IN_QR3} (release)",
    ]
    (note,) = report.notes
    assert note.startswith("average_psf D1: no token of qr3 is known; certify one of cal-psf-v4-2025-161, cal-psf-v5")
    found.published["qr2"].add("spx/cal-psf-v6-2026-200")
    found.register("average_psf", "cal-psf-v6-2026-200", 1)
    assert found.certify(release="qr2", named=False).summary == "1 certified, 1 replaced, 1 unchanged"


def test_release_without_a_known_token_needs_one_by_name(darks):
    with pytest.raises(ParameterError, match=f"dark D1, D2, D3: no token of qr3 is known; certify one of {DARK}"):
        darks.plan(release="qr3")
    darks.certify(release="qr3", runs=[f"spx/{DARK}"])
    assert darks.valid == always(DARK, DARK, DARK, rule=f"{IN_QR3} (release)")


def test_type_for_the_images_of_another_release_is_valid_for_those():
    found = Calibrations()
    found.register(FLUX, "cal-flxc-v1-2026-191", 1)
    assert found.certify(rule="release").notes == []
    assert found.valid == [f"{FLUX} D1 cal-flxc-v1-2026-191, valid {IN_QR2} (release)"]
    with pytest.raises(ParameterError, match=f"{FLUX} D1: no token of qr3 is known; certify one of"):
        found.plan(release="qr3")
    found.certify(release="qr3", runs=["spx/cal-flxc-v1-2026-191"])
    assert found.valid[1:] == [f"{FLUX} D1 cal-flxc-v1-2026-191, valid {IN_QR3} (release)"]


def test_explicit_range_may_be_open_at_either_end(darks):
    darks.certify(begin=END, detectors=1)
    darks.certify(end=BEGIN, detectors=1)
    assert darks.valid == [f"dark D1 {DARK}, valid {span} UTC (explicit)" for span in (f"until {BEGIN}", f"from {END}")]


# What is in the way.


@pytest.mark.parametrize(
    ("before", "choices", "message"),
    [
        ([{"runs": ["u/me/darks"]}], {}, r"would take the place of u/me/darks, valid always \(latest\)"),
        ([{}], {"runs": [f"spx/{DARK}"]}, f"{DARK}, valid always, would take the place of {NEWER_DARK}"),
        (
            [BETWEEN | {"detectors": 2}],
            {},
            rf"D2 .*would take the place of {NEWER_DARK}, valid from {BEGIN} until {END} UTC \(explicit\)\. Nothing",
        ),
        (
            [{"end": BEGIN}],
            {},
            "Nothing was changed; replace=True trims, splits or removes what is in the way, keep=True",
        ),
    ],
)
def test_what_was_certified_otherwise_is_in_the_way_until_it_may_be_replaced(darks, before, choices, message):
    darks.register("dark", "u/me/darks", 1, 2, 3)
    darks.register("dark", NEWER_DARK, 1, 2, 3)
    archive = [f"spx/{DARK}", f"spx/{NEWER_DARK}"]
    for choice in before:
        darks.certify(**({"runs": archive} | choice))
    known = darks.certified
    with pytest.raises(ParameterError, match=message):
        darks.certify(**({"runs": archive} | choices))
    assert darks.certified == known
    assert len(darks.certify(**({"runs": archive} | choices), **REPLACE).certified) == 3


def test_many_conflicts_are_counted(darks):
    darks.register("nonfunc", "base-2025-158", 1, 2, 3)
    darks.certify(end=BEGIN)
    with pytest.raises(ParameterError, match=r"Certified otherwise already: .*D2 .*; and 1 more\. Nothing was changed"):
        darks.plan()


def test_what_is_certified_otherwise_can_be_kept(darks):
    darks.certify(end=BEGIN, detectors=2)
    report = darks.certify(**KEEP)
    assert report.summary == "2 certified, 0 replaced, 0 unchanged"
    assert report.notes == [
        f"dark D2 {DARK}, valid always, would take the place of {DARK}, valid until {BEGIN} UTC (explicit)"
    ]
    assert darks.valid[1] == f"dark D2 {DARK}, valid until {BEGIN} UTC (explicit)"


def test_dataset_that_is_valid_in_the_whole_range_is_left_as_it_is(darks):
    darks.certify()
    assert darks.certify(release="qr2").summary == "0 certified, 0 replaced, 3 unchanged"
    darks.decertify(**BETWEEN)
    darks.certify(**BETWEEN)
    assert darks.certify().summary == "0 certified, 0 replaced, 3 unchanged"


def test_hole_that_somebody_left_is_not_filled_without_being_told_to(darks):
    darks.certify()
    darks.decertify(**BETWEEN, detectors=1)
    with pytest.raises(ParameterError, match="Certified otherwise already"):
        darks.plan()
    darks.certify(**REPLACE)
    assert darks.valid == always(DARK, DARK, DARK)


def test_only_deciding_datasets_displace_ranges(darks):
    darks.certify(detectors=[1, 2])
    newer = darks.register("dark", NEWER_DARK, 1, 2, 3)
    report = darks.certify(deciding=[newer[0].id, UUID(int=1)], **KEEP)
    assert darks.valid == always(NEWER_DARK, DARK, NEWER_DARK)
    (note,) = report.notes
    assert note == (
        f"dark D2 {NEWER_DARK}, valid always: the dataset was there before, and what was certified for dark D2 "
        f"meanwhile is left as it is: {DARK}, valid always (latest). 'butler spherex certify' changes that."
    )


# Decertifications, bounds and reports.


def test_decertify_can_be_of_one_token(darks):
    darks.register("dark", NEWER_DARK, 1)
    darks.certify()
    darks.decertify(runs=[f"spx/{DARK}"])
    assert darks.valid == always(NEWER_DARK)


def test_decertify_of_what_is_not_certified_changes_nothing(darks):
    assert darks.decertify().summary == "0 decertified, 0 kept in part"
    darks.certify(begin=END)
    assert darks.decertify(end=BEGIN).removed == []


@pytest.mark.parametrize(
    ("certified", "choices", "bounds"),
    [
        ({}, BETWEEN, [BEGIN, END]),
        ({}, {"begin": QR3[0]}, [QR3[0]]),
        ({"begin": BEGIN}, {"begin": BEGIN}, []),
        ({"begin": BEGIN, "end": END}, {"begin": "2025-05-01", "end": END}, []),
        ({"begin": BEGIN, "end": END}, {"begin": END}, []),
    ],
)
def test_only_bounds_that_cut_a_range_must_lie_between_exposures(darks, certified, choices, bounds):
    assert sorted(map(format_time, darks.plan(**BETWEEN).bounds)) == [BEGIN, END]
    darks.certify(**certified)
    report = plan_decertification(darks.certified, Request(**choices))
    assert sorted(map(format_time, report.bounds)) == bounds


def test_plan_is_for_reading(darks):
    darks.certify(detectors=1)
    darks.register("dark", NEWER_DARK, 1)
    assert str(darks.plan()).splitlines() == [
        f"certified  dark D1 {NEWER_DARK}, valid always",
        f"certified  dark D2 {DARK}, valid always",
        f"certified  dark D3 {DARK}, valid always",
        f"replaced   dark D1 {DARK}, valid always",
        "3 certified, 1 replaced, 0 unchanged",
    ]
    darks.certify()
    assert str(darks.decertify(begin=BEGIN, detectors=3)).splitlines() == [
        f"removed  dark D3 {DARK}, valid from {BEGIN} UTC",
        f"kept     dark D3 {DARK}, valid until {BEGIN} UTC",
        "1 decertified, 1 kept in part",
    ]


# What is refused.


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"rule": "newest"}, r"There is no rule 'newest'; expected one of latest, release, explicit"),
        ({"release": "qr2", "begin": BEGIN}, "Give begin=… and end=…, or release='qr2', which has its own; not both"),
        ({"rule": "latest", "begin": BEGIN}, "'latest' does not go with the other choices, which are for 'explicit'"),
        ({"rule": "latest", "release": "qr2"}, "'latest' does not go with the other choices, which are for 'release'"),
        ({"rule": "explicit"}, "'explicit' takes begin, end or both, 'release' a release or none for all, 'latest' no"),
        ({"begin": END, "end": BEGIN}, f"The range from {END} to {BEGIN} is empty; expected a begin before the end"),
        ({"begin": "noon"}, "'noon' is not a time; expected UTC such as '2026-07-20T00:00:00', or an astropy Time"),
        ({"detectors": []}, "detectors is empty; leave it out for all"),
        ({"release": "qr1"}, "'qr1' has no time of its own: later ones hold its observations"),
        ({"release": "qr9"}, "There is no release 'qr9'"),
        ({"detectors": [3, 4]}, rf"The repository has no dark of detector 4: it has the tokens {DARK};"),
        ({"detectors": 7, "named": False}, "There is no detector 7; expected numbers from 1 to 6"),
        ({"release": "qr3", "named": False}, "There is nothing to certify. dark D1, D2, D3: no token of qr3 is known"),
    ],
)
def test_choices_that_make_no_sense_are_refused(darks, choices, message):
    with pytest.raises(ParameterError, match=message):
        darks.plan(**choices)


def test_type_without_what_is_asked_for_is_refused():
    found = Calibrations()
    found.register(GAINS, "base-2025-158")
    with pytest.raises(ParameterError, match=r"One gain_factors is for all detectors; leave out detectors 3\."):
        found.plan(detectors=3)
    found.refs = {kind: [] for kind in found.refs}
    with pytest.raises(ParameterError, match="has no gain_factors: it has none at all; ingest what is missing first"):
        found.plan()
