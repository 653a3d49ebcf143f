from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spherex_butler.errors import FormatError
from spherex_butler.names import ObservationId, ProcessingToken, ProductName, parse_product_name

REAL_NAMES = (Path(__file__).parent / "data" / "level2_filenames_sample.txt").read_text().split()
LEVEL2 = "level2_2025W51_1A_0684_2D3_spx_l2b-v21-2025-354.fits"

CALIBRATIONS = [
    ("abs_gain_matrix_D1_spx_cal-agm-v4-2025-161.fits", "abs_gain_matrix", 1, "cal-agm-v4-2025-161"),
    ("average_psf_D2_spx_cal-psf-v5-2026-082.fits", "average_psf", 2, "cal-psf-v5-2026-082"),
    ("dark_D3_spx_cal-drk-v4-2025-161.fits", "dark", 3, "cal-drk-v4-2025-161"),
    ("dichroic_D4_spx_base-2025-158.fits", "dichroic", 4, "base-2025-158"),
    ("epsf_D3_spx_cal-epsf-v2-2026-191.fits", "epsf", 3, "cal-epsf-v2-2026-191"),
    ("gain_factors_spx_base-2025-158.yaml", "gain_factors", None, "base-2025-158"),
    ("l3_flux_corrections_D6_spx_cal-flxc-v1-2026-191.fits", "l3_flux_corrections", 6, "cal-flxc-v1-2026-191"),
    ("nonfunc_D5_spx_base-2025-158.fits", "nonfunc", 5, "base-2025-158"),
    ("nonlinear_pars_D1_spx_base-2025-158.fits", "nonlinear_pars", 1, "base-2025-158"),
    ("readnoise_pars_D1_spx_base-2025-158.fits", "readnoise_pars", 1, "base-2025-158"),
    ("solid_angle_pixel_map_D1_spx_cal-sapm-v3-2026-191.fits", "solid_angle_pixel_map", 1, "cal-sapm-v3-2026-191"),
    ("spectral_channels_spx_cal-sch-v1-2026-106.fits", "spectral_channels", None, "cal-sch-v1-2026-106"),
    ("spectral_channels_spx_cal-sch-v1-2026-106.fits.gz", "spectral_channels", None, "cal-sch-v1-2026-106"),
    ("spectral_wcs_D1_spx_cal-wcs-v4-2025-254.fits", "spectral_wcs", 1, "cal-wcs-v4-2025-254"),
    ("spectral_wcs_D1_spx_cal-swcs-v5-2026-191.fits", "spectral_wcs", 1, "cal-swcs-v5-2026-191"),
]

JUNK = [
    "",
    "/",
    "level2.fits",
    LEVEL2 + ".gz",
    LEVEL2 + "\n",
    LEVEL2.replace("D3", "D7"),
    LEVEL2.replace("D3", "D0"),
    LEVEL2.replace("_spx_", "_spx_spx_"),
    LEVEL2.replace("2025W51", "\uff12\uff10\uff12\uff15W51"),
    LEVEL2.replace("v21", "v\u0662\u0661"),
    LEVEL2.replace("v21", "v021"),
    LEVEL2.replace("l2b-v21-2025-354", "l2b_v21_2025_354"),
    LEVEL2.replace("level2", "Level2"),
    LEVEL2.replace("0684", "684"),
    LEVEL2.replace("2D3", "2_D3"),
    "darkD3_spx_cal-drk-v4-2025-161.fits",
    "dark_D3_spx_.fits",
    "_dark_D3_spx_base-2025-158.fits",
]


def test_all_real_names_of_the_archive_are_there():
    assert len(REAL_NAMES) == len(set(REAL_NAMES)) == 40


@pytest.mark.parametrize("name", REAL_NAMES)
def test_real_name_formats_back(name):
    parsed = parse_product_name(name)
    assert str(parsed) == name
    assert parsed.dataset_type == "level2"
    assert str(parsed.observation) in name
    assert parsed.run.removeprefix("spx/") in name


def test_fields_of_a_level2_name():
    name = parse_product_name(LEVEL2)
    assert name == ProductName(
        "level2", ProcessingToken("l2b", 21, 2025, 354), ObservationId("2025W51_1A", 684, 2), detector=3
    )
    assert (name.observation.group, name.run) == ("2025W51_1A_0684", "spx/l2b-v21-2025-354")
    assert name.observation.exposure_id * 10 + name.detector == 202551101068423  # EXPIDN
    assert ObservationId.parse("2025W18_2B_0001_1").exposure_id == 20251820200011


@pytest.mark.parametrize("text", ["2025W51_1A_0684_2", "2025W18_2B_0001_1", "2026W07_3Z_9999_4"])
def test_exposure_id_gives_the_observation_back(text):
    assert str(ObservationId.of_exposure(ObservationId.parse(text).exposure_id)) == text


@pytest.mark.parametrize("number", [0, 5, 20255110006842, 20255112706842, 202551101068421])
def test_number_that_is_no_exposure_id_is_refused(number):
    with pytest.raises(FormatError, match=f"{number} is not the id of an exposure such as 20255110106842"):
        ObservationId.of_exposure(number)


@pytest.mark.parametrize(("text", "dataset_type", "detector", "token"), CALIBRATIONS)
def test_calibration_name(text, dataset_type, detector, token):
    name = parse_product_name(text)
    assert name == ProductName(dataset_type, ProcessingToken.parse(token), None, detector, text.partition(".")[2])
    assert str(name) == text


@pytest.mark.parametrize(
    "place",
    [
        "/a/qr2/level2/2025W51_1A/l2b-v21-2025-354/3/{}",
        "https://irsa.ipac.caltech.edu/ibe/data/spherex/qr2/{}?center=1,2&size=0.1",
        "s3://nasa-irsa-spherex/qr2/{}#x",
        "{}",
    ],
)
def test_name_is_the_last_part_of_a_path_or_url(place):
    assert str(parse_product_name(place.format(LEVEL2))) == LEVEL2


@pytest.mark.parametrize("name", JUNK)
def test_junk_is_refused_with_what_was_found_and_expected(name):
    expected = "is not the name of a SPHEREx product; expected the form 'level2_|is not a processing token such as"
    with pytest.raises(FormatError, match=expected):
        parse_product_name(name)


@pytest.mark.parametrize(
    "token",
    ["", "l2b", "l2b-v21", "l2b-v21-2025-35", "L2B-v21-2025-354", "l2b-v21-2025-354x", "l2b-v021-2025-354"],
)
def test_no_token_is_refused(token):
    with pytest.raises(FormatError, match="is not a processing token such as 'l2b-v21-2025-354'"):
        ProcessingToken.parse(token)


@pytest.mark.parametrize(
    "obs_id", ["", "2025W51_1A_0684", "2025W51_1a_0684_2", "2025W51_1A_0684_2\n", "\uff12025W51_1A_0684_2"]
)
def test_no_observation_id_is_refused(obs_id):
    with pytest.raises(FormatError, match="is not an observation id such as '2025W51_1A_0684_2'"):
        ObservationId.parse(obs_id)


@pytest.mark.parametrize(
    "fields", [("2025W51", 1, 1), ("2025W51_1A", 10000, 1), ("2025W51_1A", 1, 10), ("2025W51_1A", -1, 1)]
)
def test_observation_id_of_impossible_fields_is_refused(fields):
    with pytest.raises(FormatError, match="is not an observation id"):
        ObservationId(*fields)


def test_later_processing_has_the_greater_rank():
    tokens = [
        "l2b-v20-2025-240",
        "l2b-v21-2025-300",
        "l2b-v21-2025-354",
        "l2b_retry-v21-2025-354",
        "l2b-v21-2026-001",
        "l2b-v100-2025-001",
    ]
    parsed = [ProcessingToken.parse(token) for token in tokens]
    assert sorted(parsed, key=lambda token: token.rank) == parsed
    assert ProcessingToken.parse("base-2025-158").rank < parsed[0].rank


observations = st.builds(
    lambda year, week, upload, revision, large, small: ObservationId(
        f"{year}W{week:02d}_{upload}{revision}", large, small
    ),
    st.integers(1000, 9999),
    st.integers(0, 99),
    st.integers(0, 9),
    st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    st.integers(0, 9999),
    st.integers(0, 9),
)
tokens = st.builds(
    ProcessingToken,
    st.sampled_from(["l2b", "cal-drk", "base", "cal-swcs"]),
    st.none() | st.integers(0, 10**6 - 1),
    st.integers(0, 9999),
    st.integers(0, 999),
    retry=st.just(value=False),
)
products = st.builds(
    ProductName,
    st.from_regex(r"[a-z][a-z0-9]{0,8}(_[a-z][a-z0-9]{0,8}){0,2}", fullmatch=True).filter(lambda n: "spx" not in n),
    tokens,
    st.none() | observations,
    st.none() | st.integers(1, 6),
    st.sampled_from(["fits", "yaml", "yml"]),
)


@given(products)
def test_any_name_comes_back_from_its_text(name):
    assert parse_product_name(str(name)) == name


@given(tokens, st.booleans())
def test_any_token_comes_back_from_its_text(token, retry):
    given_token = ProcessingToken(token.process, token.version, token.year, token.day, retry=retry)
    if retry and "-" in token.process:
        with pytest.raises(FormatError):
            ProcessingToken.parse(str(given_token))
    else:
        assert ProcessingToken.parse(str(given_token)) == given_token


@given(st.text(max_size=80))
def test_any_text_is_a_product_or_a_format_error(text):
    try:
        parsed = parse_product_name(text)
    except FormatError:
        return
    assert text.partition("?")[0].partition("#")[0].rstrip("/").endswith(str(parsed))
