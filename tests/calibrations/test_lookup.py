"""Look-up: which calibration an image gets, that Butler's own get gives the same, and why."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from calibration_repositories import BEGIN, DARK, END, EXPOSURE, NEWER_DARK, observe, put_image, register
from lsst.daf.butler import Butler, CalibrationLookupError, DatasetRef
from made_once import new_repo

from spherex_butler import SpectralImage
from spherex_butler.calibrations import ingest_calibrations
from spherex_butler.calibrations.lookup import calibration_for, explain
from spherex_butler.calibrations.queries import search_path
from spherex_butler.calibrations.ranges import Rule
from spherex_butler.calibrations.validity import certify, decertify
from spherex_butler.errors import ConfigurationError, ParameterError
from spherex_butler.names import ObservationId
from spherex_butler.testing import make_spectral_image
from spherex_butler.testing.calibrations import write_calibrations

ID = ObservationId.parse(EXPOSURE).exposure_id
LATER, LATER_MIDDLE = "2026W40_1A_0001_1", "2026-09-17T06:02:00"
IMAGE = {"exposure": ID, "detector": 3}


@pytest.fixture
def butler() -> Iterator[Butler]:
    """A repository with an exposure and two generations of darks, not certified."""
    with new_repo() as butler:
        register(butler, "dark", DARK)
        register(butler, "dark", NEWER_DARK, [3])
        observe(butler)
        yield butler


@pytest.fixture(scope="module")
def repo(tmp_path_factory) -> Iterator[Butler]:
    """A repository with images and all calibrations of both releases, by default certified."""
    folder = tmp_path_factory.mktemp("archive")
    with new_repo() as butler:
        for release in ("qr2", "qr3"):
            write_calibrations(folder, detectors=(3,), release=release, shape=(8, 8))
        ingest_calibrations(butler, folder, transfer="copy", certify=None)
        put_image(butler, make_spectral_image(obs_id=EXPOSURE, detector=3, size=8))
        later = make_spectral_image(obs_id=LATER, detector=3, size=8, release="qr3")
        put_image(butler, later, token="l2b-v27-2026-280")
        certify(butler, rule="release")
        yield butler


class TestPlainGet:
    """What Butler gives without any of our functions, from the collections that it searches by default."""

    @pytest.mark.parametrize("collections", [None, "SPHEREx/defaults", "SPHEREx/calib"])
    @pytest.mark.parametrize(("obs_id", "token"), [(EXPOSURE, "cal-sapm-v2-2025-164"), (LATER, "cal-sapm-v3-2026-191")])
    def test_image_gets_what_was_valid(self, repo, obs_id, token, collections):
        exposure = ObservationId.parse(obs_id).exposure_id
        gained = repo.get("solid_angle_pixel_map", exposure=exposure, detector=3, collections=collections)
        ref = calibration_for(repo, "solid_angle_pixel_map", {"exposure": exposure, "detector": 3})
        assert ref.run == f"spx/{token}"
        np.testing.assert_array_equal(gained.data, repo.get(ref).data)

    def test_types_for_all_detectors_are_found_too(self, repo):
        assert repo.get("gain_factors", exposure=ID) == repo.get(calibration_for(repo, "gain_factors", IMAGE))
        assert calibration_for(repo, "gain_factors", {"exposure": ID}).run == "spx/base-2025-158"
        later = ObservationId.parse(LATER).exposure_id
        assert repo.get("spectral_channels", exposure=later) is not None
        assert calibration_for(repo, "spectral_channels", {"exposure": later}).run == "spx/cal-sch-v1-2026-106"

    def test_dataset_and_image_say_when_they_were_taken(self, repo):
        for ref in repo.query_datasets("level2"):
            expected = calibration_for(repo, "solid_angle_pixel_map", ref.dataId)
            assert calibration_for(repo, "solid_angle_pixel_map", ref) == expected
            assert calibration_for(repo, "solid_angle_pixel_map", repo.get(ref)) == expected

    def test_nothing_valid_is_none_for_butler_and_an_error_here(self, repo):
        assert repo.find_dataset("spectral_channels", exposure=ID) is None
        with pytest.raises(ParameterError, match=r"(?s)gets none: nothing was valid then.*not valid then.*cal-sch-v1"):
            calibration_for(repo, "spectral_channels", {"exposure": ID})


def test_latest_certification_decides(butler):
    certify(butler)
    explanation = explain(butler, "dark", IMAGE)
    assert (explanation.chosen.run, explanation.rule) == (f"spx/{NEWER_DARK}", Rule.LATEST)
    (older,) = explanation.uncertified
    newest = "the newest token that has a file for this detector"
    reason = f"its range has no bounds, as the rule 'latest' gives it to {newest}"
    assert str(explanation).splitlines() == [
        f"dark for exposure {ID} ({EXPOSURE}), detector 3, from {BEGIN} until {END} UTC",
        f"It gets {NEWER_DARK} ({explanation.chosen.id}): {reason}.",
        f"  valid then       {NEWER_DARK} ({explanation.chosen.id}), always (latest)",
        f"  not certified    {DARK} ({older.id})",
    ]


def test_dataset_of_a_run_of_ones_own_is_listed_as_not_certified(butler):
    (own,) = register(butler, "dark", "u/me/d", [3])
    certify(butler, "dark", token="u/me/d", detectors=3)
    decertify(butler, "dark", detectors=3)
    explanation = explain(butler, "dark", IMAGE)
    assert [ref.run for ref in explanation.uncertified] == [f"spx/{NEWER_DARK}", f"spx/{DARK}", "u/me/d"]
    assert str(explanation).endswith(f"  not certified    u/me/d ({own.id})")
    assert certify(butler, "dark", detectors=3).certified[0].token == NEWER_DARK


def test_names_of_exposure_and_detector_are_understood(butler):
    certify(butler, "dark")
    expected = calibration_for(butler, "dark", IMAGE)
    for image in ({"exposure": EXPOSURE, "detector": 3}, {"exposure": np.int64(ID), "detector": "D3"}):
        assert calibration_for(butler, "dark", image) == expected
        assert explain(butler, "dark", image).data_id == explain(butler, "dark", IMAGE).data_id


def test_release_or_explicit_range_decides_and_that_is_said(butler):
    certify(butler, "dark", release="qr2", token=DARK)
    certify(butler, "dark", release="qr3", token=NEWER_DARK, detectors=3)
    text = str(explain(butler, "dark", IMAGE))
    assert f"It gets {DARK} (" in text
    assert "its range is the time of a release's observations, as the rule 'release' gives." in text
    assert "from 2025-04-24T00:00:00 until 2026-07-20T00:00:00 UTC (release qr2)" in text
    assert "not valid then" in text
    assert "from 2026-07-20T00:00:00 UTC (release qr3)" in text
    certify(butler, "dark", begin="2025-12-01", token=DARK, replace=True)
    explanation = explain(butler, "dark", IMAGE)
    assert explanation.rule is Rule.EXPLICIT
    assert "its range has bounds of its own, as given explicitly." in explanation.verdict


def test_exposure_over_a_bound_is_an_error_that_says_where(butler):
    certify(butler, "dark", token=DARK, end=LATER_MIDDLE)
    certify(butler, "dark", token=NEWER_DARK, begin=LATER_MIDDLE, detectors=3)
    image = {"exposure": observe(butler, LATER, begin=61300.25), "detector": 3}
    with pytest.raises(CalibrationLookupError, match="Ambiguous"):
        found_by_butler(butler, image)
    with pytest.raises(ConfigurationError) as info:
        calibration_for(butler, "dark", image)
    expected = f"2 calibrations were valid, as their ranges meet inside the exposure, at {LATER_MIDDLE} UTC. Move"
    assert expected in str(info.value)
    assert all(f"valid then       {token}" in str(info.value) for token in (DARK, NEWER_DARK))


def test_two_ranges_of_one_dataset_that_meet_inside_the_exposure_give_it(butler):
    certify(butler, "dark", token=DARK, end=LATER_MIDDLE)
    certify(butler, "dark", token=DARK, begin=LATER_MIDDLE)
    image = {"exposure": observe(butler, LATER, begin=61300.25), "detector": 3}
    assert calibration_for(butler, "dark", image).run == f"spx/{DARK}"


def test_nothing_there_at_all_is_said(butler):
    text = str(explain(butler, "nonfunc", IMAGE))
    assert text.splitlines()[1:] == ["It gets none: nothing was valid then.", "  There are no candidates."]
    assert explain(butler, "nonfunc", IMAGE).rule is None


@pytest.fixture
def own_first(butler) -> Butler:
    """The same with a user's calibration collection in front: there the older dark of some detectors is valid."""
    certify(butler)
    certify(butler, "dark", token=DARK, detectors=3, end="2026-01-01", collection="u/me/calib")
    butler.collections.prepend_chain("SPHEREx/defaults", "u/me/calib")
    return butler


def found_by_butler(butler: Butler, image: dict[str, int]) -> DatasetRef | None:
    timespan = explain(butler, "dark", image).timespan
    detector = image["detector"]
    return butler.find_dataset("dark", detector=detector, collections="SPHEREx/defaults", timespan=timespan)


class TestSeveralCollections:
    def test_first_with_a_valid_range_decides_as_for_butler(self, own_first):
        later = {"exposure": observe(own_first, LATER, begin=61300.25), "detector": 3}
        for image, token in ((IMAGE, DARK), (later, NEWER_DARK)):
            chosen = calibration_for(own_first, "dark", image)
            assert chosen.run == f"spx/{token}"
            assert found_by_butler(own_first, image) == chosen
        assert calibration_for(own_first, "dark", IMAGE, collection="SPHEREx/calib").run == f"spx/{NEWER_DARK}"

    def test_explanation_names_the_collections(self, own_first):
        explanation = explain(own_first, "dark", IMAGE)
        text = str(explanation).splitlines()
        (newer,) = explanation.hidden
        assert text[1].startswith(f"It gets {DARK} ({explanation.chosen.id}) in u/me/calib: its range has bounds")
        assert text[2].endswith("until 2026-01-01T00:00:00 UTC (explicit) in u/me/calib")
        assert text[3] == f"  hidden           {NEWER_DARK} ({newer.ref.id}), always (latest) in SPHEREx/calib"

    def test_path_is_empty_where_there_is_no_such_collection(self, own_first):
        assert search_path(own_first) == ["u/me/calib", "SPHEREx/calib"]
        assert search_path(own_first, "u/nobody") == []


def test_image_that_is_not_in_the_repository_is_known_by_its_header(butler):
    certify(butler, "dark", end="2026-03-01", token=DARK)
    certify(butler, "dark", begin="2026-03-01", token=NEWER_DARK)
    image = make_spectral_image(obs_id="2026W20_1A_0001_1", detector=3, size=16)
    assert calibration_for(butler, "dark", image).run == f"spx/{NEWER_DARK}"


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ({"detector": 3}, r"has no exposure, so that its time is not known; add exposure=…"),
        ({"exposure": ID, "detector": 9}, "There is no detector 9; expected numbers from 1 to 6"),
        ({"exposure": ID}, f"Give detector=…: 'dark' is looked up by detector, and exposure={ID} alone was given."),
        ({"exposure": 20200110106842, "detector": 3}, "The exposure 20200110106842 is not registered; ingest an image"),
        ({"exposure": LATER, "detector": 3}, f"The exposure '{LATER}' is not registered; ingest an image"),
        ({"exposure": ID, "detector": "three"}, "There is no detector three; expected numbers from 1 to 6"),
        ("dark", "'dark' is not an image; expected a data ID, a DatasetRef or a SpectralImage"),
        (SpectralImage(np.zeros((2, 2)), unit="MJy/sr"), "header says OBSID None and DETECTOR None"),
    ],
)
def test_image_that_says_too_little_is_refused(butler, image, message):
    with pytest.raises(ParameterError, match=message):
        explain(butler, "dark", image)
