"""Simulated files: the archive's HDUs, headers, sizes and names."""

from __future__ import annotations

import hashlib
import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from simulated import DETECTORS, REAL, hdulist, pixel_flags, written

from spherex_butler.errors import FormatError, ParameterError
from spherex_butler.testing import (
    level2_hdulist,
    plan_exposures,
    write_exposures,
    write_level2,
)
from spherex_butler.testing.frames import make_frame

# The saved headers are of this piece of the full frame (1 - CRPIXnA), 117 pixels a side.
REAL_OPTIONS = {"detector": 3, "size": 117, "origin": (1292, 863)}
REAL_POLYGON = (
    "6.962852120551271 41.75009330770693 11.28249000497766 43.137330881450204 "
    "13.174643355147754 39.946653279470475 8.97915502445252 38.62459220149968"
)  # s_region in the archive's row of that image
BAD = ("TRANSIENT", "SUR_ERROR", "NONFUNC", "HOT", "COLD", "OUTLIER", "PERSIST")


@pytest.fixture(scope="module")
def full_frames(tmp_path_factory):
    folder = tmp_path_factory.mktemp("full")
    return {release: write_level2(folder, release=release, detector=3) for release in ("qr2", "qr3")}


def test_full_qr2_file_has_the_structure_and_size_of_the_archives(full_frames):
    assert full_frames["qr2"].stat().st_size == pytest.approx(71.638e6, abs=0.1e6)  # access_estsize
    with fits.open(full_frames["qr2"]) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "IMAGE", "FLAGS", "VARIANCE", "ZODI", "PSF", "WCS-WAVE"]
        assert [type(hdu) for hdu in hdus[1:6]] == [fits.ImageHDU] * 5
        assert [hdu.shape for hdu in hdus[1:6]] == [(2040, 2040)] * 4 + [(121, 101, 101)]
        assert [hdu.header["BITPIX"] for hdu in hdus[1:6]] == [-32, 32, -32, -32, -32]
        units = {hdu.name: u.Unit(hdu.header["BUNIT"]) for hdu in hdus[1:5]}
        brightness = u.MJy / u.sr
        assert units == {"IMAGE": brightness, "FLAGS": u.one, "VARIANCE": brightness**2, "ZODI": brightness}
        assert hdus["IMAGE"].header["EXTTYPE"] == "IMAGE"
        assert hdus["FLAGS"].header["EXTTYPE"] == "MASK"
        table = hdus["WCS-WAVE"]
        assert table.columns.names == ["X", "Y", "VALUES"]
        assert table.columns.formats == ["9J", "14J", "252E"]
        assert (len(table.data), table.columns["VALUES"].dim) == (1, "(2,9,14)")


def test_full_qr3_file_has_compressed_flags_and_the_kernel_table(full_frames):
    assert full_frames["qr3"].stat().st_size == pytest.approx(65.5e6, abs=1e6)
    with fits.open(full_frames["qr3"], disable_image_compression=True) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "IMAGE", "FLAGS", "VARIANCE", "ZODI", "EPSF", "WCS-WAVE"]
        compressed = hdus["FLAGS"].header
        assert (compressed["ZCMPTYPE"], compressed["ZTILE1"], compressed["ZTILE2"]) == ("RICE_1", 2040, 1)
        epsf = hdus["EPSF"]
        names = [
            "BINX",
            "BINY",
            "XCENTER",
            "YCENTER",
            "XWIDTH",
            "YWIDTH",
            "NSTAR",
            "NEFF_MEAN",
            "CWAVE",
            "CBAND",
            "EPSF",
        ]
        assert epsf.columns.names == names
        assert epsf.data["EPSF"].shape == (451, 33, 33)
        assert epsf.data["EPSF"].dtype == ">f8"
        assert (epsf.data["BINX"].max(), epsf.data["BINY"].max()) == (10, 40)
        assert hdus["WCS-WAVE"].data["VALUES"].shape == (1, 14, 9, 2)
    with fits.open(full_frames["qr3"]) as hdus:
        assert hdus["FLAGS"].data.dtype.newbyteorder("=") == np.int32


def test_cutout_of_the_saved_header_is_that_header_card_by_card():
    hdus = written(level2_hdulist(**REAL_OPTIONS))
    for name, real in REAL.items():
        ours = hdus[name].header
        assert [card.image for card in ours.cards] == [card.image for card in real.cards]


def test_full_frame_changes_only_size_and_reference_pixels(full_frames):
    header = fits.getheader(full_frames["qr2"], "IMAGE")
    changed = {
        card.keyword for card, real in zip(header.cards, REAL["IMAGE"].cards, strict=True) if card.image != real.image
    }
    assert changed == {"NAXIS1", "NAXIS2"} | {f"CRPIX{axis}{wcs}" for axis in "12" for wcs in ("", "A", "W")}
    assert (header["CRPIX1"], header["CRPIX2"], header["CRPIX1A"], header["CRPIX2W"]) == (1020.5, 1020.5, 1, 1)


def test_full_frame_footprint_equals_the_archives_region(full_frames):
    header = fits.getheader(full_frames["qr2"], "IMAGE")
    for name in [name for name in header if name.endswith("W") and name.startswith(("CTYPE", "PS", "PV"))]:
        header.remove(name)  # the look-up needs its table, and is of no concern here
    edges = [-0.5, 2039.5, 2039.5, -0.5], [-0.5, -0.5, 2039.5, 2039.5]
    corners = np.transpose(WCS(header).all_pix2world(*edges, 0))
    expected = np.array(REAL_POLYGON.split(), dtype=float).reshape(4, 2)
    np.testing.assert_allclose(corners, expected, atol=1e-8, rtol=0)


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("release", ["qr2", "qr3"])
def test_other_images_change_only_what_makes_them_other(release, detector):
    hdus = written(hdulist(obs_id="2026W40_2B_0007_1", release=release, detector=detector))
    times = {f"{kind}-{part}" for kind in ("DATE", "MJD") for part in ("OBS", "BEG", "AVG", "END")}
    celestial = {"CRVAL1", "CRVAL2", "LATPOLE", "PC1_1", "PC1_2", "PC2_1", "PC2_2"}
    pixels = {"NAXIS1", "NAXIS2"} | {f"CRPIX{axis}{wcs}" for axis in "12" for wcs in ("", "A", "W")}
    allowed = {"DETECTOR", "OBSID", "EXPIDN", "DATE", "SPS_TARGET", "SPS_ELON", "SPS_ELAT", "SPS_EPA"}
    pairs = list(zip(hdus["IMAGE"].header.cards, REAL["IMAGE"].cards, strict=True))
    assert [ours.keyword for ours, _ in pairs] == [real.keyword for _, real in pairs]
    assert {ours.keyword for ours, real in pairs if ours.value != real.value} <= allowed | times | celestial | pixels
    assert [ours.comment for ours, _ in pairs] == [real.comment for _, real in pairs]
    assert hdus["IMAGE"].header["DETECTOR"] == detector
    assert hdus["IMAGE"].header["EXPIDN"] == 202640202000710 + detector
    for name in ("FLAGS", "VARIANCE", "ZODI"):
        for card in times | celestial:
            assert hdus[name].header[card] == hdus["IMAGE"].header[card]


@pytest.mark.parametrize("size", [1, 64])
@pytest.mark.parametrize("release", ["qr2", "qr3"])
def test_files_meet_the_fits_standard(tmp_path, release, size):
    path = write_level2(tmp_path, release=release, size=size)
    with warnings.catch_warnings(), fits.open(path) as hdus:
        warnings.simplefilter("error")
        hdus.verify("exception")
        for hdu in hdus:
            hdu.verify("exception")
        assert path.stat().st_size % 2880 == 0


def test_primary_says_which_pipeline_made_the_file():
    header = hdulist(version="6.5.7+psffix1")["PRIMARY"].header
    assert header["VERSION"] == "6.5.7+psffix1"
    assert header["DATE"] == "2025-12-21T07:46:20.948"
    assert (header["TELESCOP"], header["INSTRUME"]) == ("SPHEREx", "SPHEREx")
    assert hdulist()["PRIMARY"].header["VERSION"] == "6.6.0"
    assert hdulist(release="qr3")["PRIMARY"].header["VERSION"] == "7.1.0"


def test_same_options_give_the_same_bytes(tmp_path):
    digests = []
    for name in ("first.fits", "second.fits"):
        path = write_level2(tmp_path / name, size=48, detector=5, release="qr3", seed=7)
        digests.append(hashlib.sha256(path.read_bytes()).hexdigest())
    assert digests[0] == digests[1]


@pytest.mark.parametrize("release", ["qr2", "qr3"])
def test_small_frame_is_the_cutout_of_the_full_frame(full_frames, release):
    cutout = written(level2_hdulist(release=release, detector=3, size=150, origin=(1850, 20), full_psf=True))
    with fits.open(full_frames[release]) as full:
        for name in ("IMAGE", "FLAGS", "VARIANCE", "ZODI"):
            np.testing.assert_array_equal(cutout[name].data, full[name].data[20:170, 1850:2000])
        for name in ("PSF" if release == "qr2" else "EPSF", "WCS-WAVE"):
            assert cutout[name].data.tobytes() == full[name].data.tobytes()


def test_small_frame_is_the_middle_by_default():
    header = hdulist()["IMAGE"].header
    assert (header["CRPIX1A"], header["CRPIX2A"]) == (1 - 1004, 1 - 1004)
    assert header["CRPIX1"] == 1020.5 - 1004


def test_flags_of_qr2_are_defined_as_in_the_real_header():
    header = hdulist()["FLAGS"].header
    assert pixel_flags(header) == pixel_flags(REAL["FLAGS"])
    assert header["MP_SOURCE"] == 21


def test_flags_of_qr3_are_defined_by_name_and_mask():
    header = hdulist(release="qr3")["FLAGS"].header
    names = {header[card]: header[card.replace("MSKN", "MSKM")] for card in header if card.startswith("MSKN")}
    assert header["MSKN0021"] == "SOURCE"
    assert header["MSKM0021"] == 1 << 21
    removed = {"PHANTOM", "REFERENCE"}
    expected = {name: mask for name, mask in pixel_flags(REAL["FLAGS"]).items() if name not in removed}
    assert names == expected | {"CROSSTALK": 1 << 20, "STREAK": 1 << 25}
    assert not [card for card in header if card.startswith("MP_") or card[5:] in removed]


def test_flagged_pixels_are_as_frequent_as_in_the_real_frame(full_frames):
    with fits.open(full_frames["qr2"]) as hdus:
        flags, header = hdus["FLAGS"].data, hdus["IMAGE"].header
        masks = pixel_flags(hdus["FLAGS"].header)
    counts = {name: np.count_nonzero(flags & mask) for name, mask in masks.items()}
    for name in ("TRANSIENT", "SUR_ERROR", "NONFUNC", "DICHROIC", "OUTLIER", "COLD", "PERSIST", "SOURCE"):
        assert counts[name] == pytest.approx(header[f"L2 N_{name}"], rel=0.06), name
    assert min(counts[name] for name in ("HOT", "OVERFLOW", "FULLSAMPLE")) > 0
    used = {name for name, count in counts.items() if count}
    assert used == {*BAD, "SOURCE", "OVERFLOW", "FULLSAMPLE", "DICHROIC"}


def test_bad_pixels_of_a_detector_stay_and_those_of_an_exposure_do_not():
    one, two = (level2_hdulist(size=256, obs_id=f"2025W51_1A_0684_{small}")["FLAGS"].data for small in (1, 2))
    masks = pixel_flags(REAL["FLAGS"])
    assert np.any(one & masks["NONFUNC"])
    np.testing.assert_array_equal(one & masks["NONFUNC"], two & masks["NONFUNC"])
    assert np.any((one & masks["OUTLIER"]) != (two & masks["OUTLIER"]))


def test_folder_gets_the_archives_file_name(tmp_path):
    path = write_level2(tmp_path / "new" / "folder", size=16, detector=3)
    assert path == tmp_path / "new" / "folder" / "level2_2025W51_1A_0684_2D3_spx_l2b-v21-2025-354.fits"
    named = write_level2(tmp_path / "own.fits", size=16, token="l2b_retry-v21-2025-360")
    assert named == tmp_path / "own.fits"
    assert fits.getheader(named)["DATE"].startswith("2025-12-27")


def test_existing_file_is_replaced_only_on_demand(tmp_path):
    path = write_level2(tmp_path, size=16)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match=r"spx_l2b-v21-2025-354.fits' exists; pass overwrite=True"):
        write_level2(tmp_path, size=16, seed=1)
    assert path.read_bytes() == before
    assert write_level2(tmp_path, size=16, seed=1, overwrite=True).read_bytes() != before
    assert list(tmp_path.iterdir()) == [path]


def test_exposures_are_a_dither_of_one_channel_each(tmp_path):
    paths = write_exposures(tmp_path, exposures=3, detectors=(2, 5), size=16, obs_id="2025W51_1A_0684_2")
    assert [path.name[7:26] for path in paths] == [
        f"2025W51_1A_{exposure}D{detector}" for exposure in ("0684_2", "0684_3", "0685_1") for detector in (2, 5)
    ]
    wavelengths = []
    for path in paths[::2]:
        options = {"detector": 2, "obs_id": path.name[7:24]}
        x, y = make_frame(**options).wcs().all_world2pix([[5.54, 39.14]], 0)[0]
        wavelengths.append(float(make_frame(**options).wavelengths.at(x, y)[0]))
        assert x == pytest.approx(1020, abs=3)
    steps = np.diff(wavelengths)
    assert np.all((steps > 0.025) & (steps < 0.04))  # a channel of detector 2, redder as the sky moves down


def test_exposures_can_start_at_a_position_and_fill_the_archives_folders(tmp_path):
    center = SkyCoord(10.68, 41.27, unit="deg")
    plan = plan_exposures(tmp_path, exposures=2, detectors=[2], tree=True, release="qr3", center=center, size=16)
    folder = tmp_path / "qr3/level2/2026W33_1A/l2b-v27-2026-227/2"
    assert [file.path.parent for file in plan] == [folder, folder]
    assert not folder.exists()
    boresights = [make_frame(**file.options).pointing.boresight for file in plan]
    assert boresights[0].separation(center) < 1 * u.mas
    assert boresights[1].separation(center).to_value(u.deg) == pytest.approx(0.1963)
    paths = write_exposures(tmp_path, exposures=2, detectors=[2], tree=True, release="qr3", center=center, size=16)
    assert paths == [file.path for file in plan]


def test_exposures_write_nothing_where_one_exists(tmp_path):
    first = write_level2(tmp_path, size=16, detector=4)
    with pytest.raises(FileExistsError, match=r"1 of the files exist, the first '.*D4_spx.*'; pass overwrite=True"):
        write_exposures(tmp_path, exposures=1, detectors=(3, 4), size=16)
    assert list(tmp_path.iterdir()) == [first]
    assert len(write_exposures(tmp_path, exposures=1, detectors=(3, 4), size=16, overwrite=True)) == 2


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"obs_id": "2025W51_1A_684_2"}, FormatError, r"obs_id='2025W51_1A_684_2' is not a SPHEREx observation id"),
        ({"obs_id": "2025W51_1A_0684_5"}, FormatError, r"small slew \(1 to 4\)"),
        ({"obs_id": "2025W60_1A_0684_2"}, FormatError, r"names no ISO week: Invalid week: 60"),
        ({"token": "v21"}, FormatError, r"token='v21' is not a Level 2 processing token; expected one such as"),
        ({"detector": 7}, ParameterError, r"detector=7 is not known; expected a number from 1 to 6"),
        ({"release": "dr1"}, ParameterError, r"release='dr1' is not known; expected 'qr2' or 'qr3'"),
        ({"size": 0}, ParameterError, r"size=0 is not known; expected a side of 1 to 2040 pixels"),
        ({"size": 2041}, ParameterError, r"size=2041"),
        ({"seed": -1}, ParameterError, r"seed=-1 is not known; expected a whole number from 0"),
        ({"seed": 1.5}, ParameterError, r"seed=1.5"),
        (
            {"size": 40, "origin": (2001, 0)},
            ParameterError,
            r"origin=\(2001, 0\) leaves no room for 40 x 40 pixels.*0 to 2000",
        ),
        ({"version": "newest"}, FormatError, r"VERSION is 'newest'"),
    ],
)
def test_options_without_meaning_are_refused(tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        write_level2(tmp_path, **{"size": 16, **options})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"exposures": 0}, r"exposures=0 asks for nothing; expected a number from 1"),
        ({"detectors": ()}, r"detectors is empty; expected some of 1 to 6"),
        ({"detectors": (0,)}, r"detector=0 is not known"),
    ],
)
def test_sequences_of_nothing_are_refused(tmp_path, options, message):
    with pytest.raises(ParameterError, match=message):
        write_exposures(tmp_path, **options)
