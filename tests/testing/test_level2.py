from __future__ import annotations

import hashlib
import io
import math
import subprocess
import sys
import warnings
from importlib.resources import files
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from spherex_butler.errors import FormatError, ParameterError
from spherex_butler.formats.fits.boxes import Box
from spherex_butler.testing import (
    level2_hdulist,
    plan_exposures,
    source_catalog,
    source_flux,
    write_exposures,
    write_level2,
)
from spherex_butler.testing.frames import make_frame
from spherex_butler.testing.wavelengths import wavelength_grid

DATA = Path(__file__).parent / "data"
REAL = {
    name: fits.Header.fromstring(
        (files("spherex_butler.testing") / "data" / f"{name.lower()}_header.txt").read_text(), sep="\n"
    )
    for name in ("IMAGE", "FLAGS")
}
# The saved headers are of this piece of the full frame (1 - CRPIXnA), 117 pixels a side.
REAL_OPTIONS = {"detector": 3, "size": 117, "origin": (1292, 863)}
REAL_POLYGON = (
    "6.962852120551271 41.75009330770693 11.28249000497766 43.137330881450204 "
    "13.174643355147754 39.946653279470475 8.97915502445252 38.62459220149968"
)  # s_region in the archive's row of that image
DETECTORS = range(1, 7)
FULL_FRAME = Box(0, 2040, 0, 2040)
BAD = ("TRANSIENT", "SUR_ERROR", "NONFUNC", "HOT", "COLD", "OUTLIER", "PERSIST")


def hdulist(**options):
    return level2_hdulist(**{"size": 32, **options})


def written(hdus):
    """Return the HDUs as a reader gets them."""
    stream = io.BytesIO()
    hdus.writeto(stream)
    return fits.open(io.BytesIO(stream.getvalue()), memmap=False)


@pytest.fixture(scope="module")
def full_frames(tmp_path_factory):
    folder = tmp_path_factory.mktemp("full")
    return {release: write_level2(folder, release=release, detector=3) for release in ("qr2", "qr3")}


def pixel_flags(header):
    return {name[3:]: 1 << header[name] for name in header if name.startswith("MP_")}


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
        assert table.columns.formats == ["11J", "11J", "242E"]
        assert (len(table.data), table.columns["VALUES"].dim) == (1, "(2,11,11)")


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
        assert hdus["WCS-WAVE"].data["VALUES"].shape == (1, 9, 9, 2)
    with fits.open(full_frames["qr3"]) as hdus:
        assert hdus["FLAGS"].data.dtype.newbyteorder("=") == np.int32


def test_qr3_table_of_other_detectors_has_441_zones():
    table = hdulist(release="qr3", detector=4, full_psf=True)["EPSF"].data
    assert len(table) == 441
    assert (table["BINX"].max(), table["BINY"].max()) == (20, 20)


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


def test_seed_observation_and_detector_each_change_the_noise():
    images = [
        hdulist(**options)["IMAGE"].data - hdulist(**options)["ZODI"].data
        for options in ({}, {"seed": 1}, {"obs_id": "2025W51_1A_0684_3"}, {"detector": 4})
    ]
    assert len({image.tobytes() for image in images}) == 4


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


def test_reduced_psf_covers_the_frame_with_nine_zones():
    hdus = hdulist()
    assert hdus["PSF"].shape == (9, 41, 41)
    assert [hdus["PSF"].header[f"XCTR_{i}"] for i in range(1, 10)] == [339.5, 1019.5, 1699.5] * 3
    assert len(hdulist(release="qr3")["EPSF"].data) == 9


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


@pytest.mark.parametrize("detector", DETECTORS)
def test_wavelengths_lie_in_the_real_spectral_channels(detector):
    channels = Table.read(DATA / "spectral_channels.ecsv")
    channels = channels[channels["DETECTOR"] == detector]
    channel_map = np.loadtxt(DATA / "channel_map_every_16.txt", dtype=int)
    wavelengths = wavelength_grid(detector, (11, 11)).wavelengths(FULL_FRAME)[7::16, 7::16]
    inside = (channel_map >= 1) & (channel_map <= 17)
    channel = channel_map[inside] - 1
    fits_in = (wavelengths[inside] >= np.asarray(channels["WL_MIN"])[channel]) & (
        wavelengths[inside] <= np.asarray(channels["WL_MAX"])[channel]
    )
    assert fits_in.mean() > (0.985 if detector == 4 else 0.998)


@pytest.mark.parametrize("detector", DETECTORS)
def test_bandwidth_is_the_wavelength_over_the_channels_resolving_power(detector):
    channels = Table.read(DATA / "spectral_channels.ecsv")
    channels = channels[(channels["DETECTOR"] == detector) & (channels["SUBCHAN"] > 1)]
    values = wavelength_grid(detector, (11, 200)).values[:, 5]
    order = np.argsort(values[:, 0])
    powers = np.interp(channels["WAVELENGTH"], values[order, 0], (values[:, 0] / values[:, 1])[order])
    np.testing.assert_allclose(powers, channels["R"], rtol=0.03)


@pytest.mark.parametrize(("release", "grid"), [("qr2", None), ("qr2", (9, 14)), ("qr2", (13, 20)), ("qr3", None)])
def test_wavelength_wcs_gives_the_wavelength_of_every_pixel(release, grid):
    options = {"release": release, "detector": 2, "size": 40, "origin": (1700, 300), "wave_grid": grid}
    hdus = written(level2_hdulist(**options))
    wcs = WCS(hdus["IMAGE"].header, fobj=hdus, key="W")
    wcs.sip = None
    x, y = np.meshgrid(np.arange(40.0), np.arange(40.0))
    wavelength, bandwidth = wcs.wcs_pix2world(x, y, 0)
    expected = make_frame(**options).grid.wavelengths(Box(1700, 1740, 300, 340))
    np.testing.assert_allclose(wavelength, expected, rtol=1e-6)
    assert np.all((wavelength / bandwidth > 39) & (wavelength / bandwidth < 44))
    along_y, along_x = np.ptp(wavelength, axis=0).min(), np.ptp(wavelength, axis=1).max()
    assert along_y > 3 * along_x
    assert np.all(np.diff(wavelength, axis=0) < 0)  # the map's first channel, the bluest, is at the top
    assert hdus["WCS-WAVE"].data["VALUES"].shape[1:3] == (grid or {"qr2": (11, 11), "qr3": (9, 9)}[release])[::-1]


def measured_and_true_flux(detector, seed, obs_id):
    """Return aperture fluxes of isolated sources on good pixels, and what the catalog says."""
    frame = make_frame(detector=detector, seed=seed, size=400, obs_id=obs_id)
    hdus = level2_hdulist(detector=detector, seed=seed, size=400, obs_id=obs_id)
    header = hdus["IMAGE"].header
    catalog = source_catalog(
        SkyCoord(*frame.wcs().all_pix2world(1019.5, 1019.5, 0), unit="deg"), 0.5 * u.deg, seed=seed
    )
    x, y = frame.wcs().all_world2pix(catalog["ra"], catalog["dec"], 0)
    x, y = x - 820, y - 820
    good = (np.abs(x - 199.5) < 190) & (np.abs(y - 199.5) < 190)
    alone = [np.sort(np.hypot(x - a, y - b))[1] > 9 for a, b in zip(x, y, strict=True)]
    wavelengths = frame.grid.wavelengths(frame.box)
    bad = sum(mask for name, mask in pixel_flags(hdus["FLAGS"].header).items() if name in BAD)
    solid_angle = (header["OMEGA_MEDIAN"] * u.arcsec**2).to(u.sr)
    measured, true, error = [], [], []
    for i in np.flatnonzero(good & alone & (catalog["flux"] > 1 * u.mJy)):
        column, row = round(x[i]), round(y[i])
        aperture = np.s_[row - 3 : row + 4, column - 3 : column + 4]
        if np.any(hdus["FLAGS"].data[aperture] & bad):
            continue
        brightness = (hdus["IMAGE"].data[aperture] - hdus["ZODI"].data[aperture]).astype(float).sum()
        measured.append((brightness * u.MJy / u.sr * solid_angle).to_value(u.mJy))
        true.append(source_flux(catalog[[i]], wavelengths[row, column] * u.um)[0].to_value(u.mJy))
        variance = hdus["VARIANCE"].data[aperture].astype(float).sum()
        error.append((math.sqrt(variance) * u.MJy / u.sr * solid_angle).to_value(u.mJy))
    return np.array(measured), np.array(true), np.array(error)


@pytest.mark.parametrize("detector", DETECTORS)
def test_source_fluxes_are_recovered_within_the_noise(detector):
    measured, true, error = measured_and_true_flux(detector, 3, "2025W51_1A_0684_2")
    deviation = (measured - true) / np.hypot(error, 0.003 * true)
    assert len(deviation) > 10
    assert np.abs(deviation).max() < 4
    assert abs(deviation.mean()) < 4 / math.sqrt(len(deviation))
    assert np.std(deviation) == pytest.approx(1, abs=0.5)


def test_noise_is_that_of_the_variance_plane():
    hdus = level2_hdulist(size=300, detector=6)
    masks = pixel_flags(hdus["FLAGS"].header)
    faint = (hdus["FLAGS"].data & sum(masks[name] for name in BAD)) == 0
    zodi_only = np.isclose(hdus["VARIANCE"].data, 0.010**2 + 2e-4 * hdus["ZODI"].data, rtol=1e-5)
    pulls = (hdus["IMAGE"].data - hdus["ZODI"].data) / np.sqrt(hdus["VARIANCE"].data)
    pulls = pulls[faint & zodi_only]
    assert len(pulls) > 50_000
    assert pulls.mean() == pytest.approx(0, abs=0.02)
    assert pulls.std() == pytest.approx(1, abs=0.01)


def test_catalog_is_one_sky_seen_through_any_circle():
    center = SkyCoord(359.95, 66.5, unit="deg")
    wide = source_catalog(center, 1.2 * u.deg, seed=4)
    assert len(wide) == pytest.approx(600 * math.pi * 1.2**2, rel=0.15)
    narrow = source_catalog(center.directional_offset_by(30 * u.deg, 0.4 * u.deg), 0.5 * u.deg, seed=4)
    assert set(narrow["source_id"]) < set(wide["source_id"])
    assert len(set(wide["source_id"])) == len(wide)
    assert wide["ra"].max() > 359 * u.deg
    assert wide["ra"].min() < 1 * u.deg


@pytest.mark.parametrize("dec", [-90, 89.9])
def test_catalog_covers_the_poles(dec):
    catalog = source_catalog(SkyCoord(10, dec, unit="deg"), 1 * u.deg)
    assert len(catalog) == pytest.approx(600 * math.pi, rel=0.15)
    assert np.ptp(catalog["ra"]) > 300 * u.deg


def test_source_spectra_are_blackbodies_and_power_laws():
    catalog = source_catalog(SkyCoord(10, 40, unit="deg"), 0.3 * u.deg)
    assert set(catalog["kind"]) == {"star", "galaxy"}
    np.testing.assert_allclose(source_flux(catalog, 2 * u.um), catalog["flux"])
    galaxy = catalog[catalog["kind"] == "galaxy"][:1]
    assert source_flux(galaxy, 4 * u.um)[0] == galaxy["flux"][0] * 2 ** galaxy["index"][0]
    star = catalog[catalog["kind"] == "star"][:1]
    temperature = star["temperature"][0]
    ratio = (source_flux(star, 4 * u.um) / source_flux(star, 1 * u.um))[0]
    hc_over_k = 14387.77 * u.um * u.K
    planck = [lam**-3 / np.expm1((hc_over_k / (lam * u.um * temperature)).value) for lam in (4, 1)]
    assert ratio.to_value(u.one) == pytest.approx(planck[0] / planck[1])


def test_zodiacal_light_grows_towards_the_ecliptic():
    poles, plane = (
        hdulist(center=SkyCoord(100, latitude, unit="deg", frame="barycentricmeanecliptic"), detector=2)
        for latitude in (85, 2)
    )
    assert plane["ZODI"].data.mean() > 1.5 * poles["ZODI"].data.mean()


def zone_cards(hdus, name):
    header = hdus["PSF"].header
    return [header[f"{name}_{i}"] for i in range(1, hdus["PSF"].shape[0] + 1)]


@pytest.mark.parametrize("version", ["6.5.5", "6.4.0", "6.5.5+other"])
def test_old_versions_have_exchanged_zone_cards(version):
    broken = level2_hdulist(size=16, full_psf=True, version=version)
    fixed = level2_hdulist(size=16, full_psf=True)
    np.testing.assert_array_equal(broken["PSF"].data, fixed["PSF"].data)
    assert zone_cards(broken, "XCTR") == zone_cards(fixed, "YCTR")
    assert zone_cards(broken, "YCTR") == zone_cards(fixed, "XCTR")
    assert zone_cards(broken, "XCTR") != zone_cards(fixed, "XCTR")


@pytest.mark.parametrize("version", ["6.5.5+psffix1", "6.5.6", "6.10.0"])
def test_fixed_versions_count_zones_along_x(version):
    hdus = level2_hdulist(size=16, full_psf=True, version=version)
    width = 2040 / 11
    centers = [round((i + 0.5) * width - 0.5, 6) for i in range(11)]
    assert zone_cards(hdus, "XCTR") == centers * 11  # plane = y * 11 + x + 1: IRSA's erratum
    assert zone_cards(hdus, "YCTR") == [center for center in centers for _ in range(11)]
    assert set(zone_cards(hdus, "XWID")) == set(zone_cards(hdus, "YWID")) == {round(width, 6)}


def second_moments(kernel, oversampling):
    y, x = (np.arange(n) - n // 2 for n in kernel.shape)
    return (
        np.sqrt(np.sum(kernel * x**2) / kernel.sum()) / oversampling,
        np.sqrt(np.sum(kernel * y[:, np.newaxis] ** 2) / kernel.sum()) / oversampling,
    )


def test_kernels_vary_over_the_field_differently_along_x_and_y():
    cube = level2_hdulist(size=16, detector=3, full_psf=True)["PSF"].data.astype(float)
    np.testing.assert_allclose(cube.sum(axis=(1, 2)), 1, rtol=1e-6)
    right, top = second_moments(cube[5 * 11 + 10], 10), second_moments(cube[10 * 11 + 5], 10)
    assert right[0] > 1.02 * top[0]
    middle = cube[60, 50]
    above = np.flatnonzero(middle > middle.max() / 2)
    fwhm = (above[-1] - above[0] + 1) * 0.615
    assert fwhm == pytest.approx(REAL["IMAGE"]["PSF_FWHM"], abs=0.7)


def test_effective_kernels_are_those_of_the_cube_seen_by_a_pixel():
    cube = level2_hdulist(size=16, detector=3)["PSF"].data[4].astype(float)
    table = level2_hdulist(size=16, detector=3, release="qr3")["EPSF"].data
    effective = table["EPSF"][4]
    assert effective.sum() == pytest.approx(25)
    in_pixel = effective[16, 16]
    pixel = cube[15:26, 15:26].copy()
    pixel[[0, -1]] /= 2  # half of the samples at the pixel's edges are its own
    pixel[:, [0, -1]] /= 2
    assert in_pixel == pytest.approx(pixel.sum(), rel=0.01)
    assert 1 < table["NEFF_MEAN"][4] < 5
    assert table["CWAVE"][4] == pytest.approx(1.98, abs=0.02)
    assert table["CWAVE"][4] / table["CBAND"][4] == pytest.approx(40.5, abs=0.5)


def centers(**options):
    frames = {detector: make_frame(detector=detector, **options) for detector in DETECTORS}
    return {
        detector: SkyCoord(*frame.wcs().all_pix2world(1019.5, 1019.5, 0), unit="deg")
        for detector, frame in frames.items()
    }


def test_an_exposure_covers_three_fields_side_by_side():
    boresight = SkyCoord(150.0, -20.0, unit="deg")
    fields = centers(center=boresight)
    for short, long in ((1, 4), (2, 5), (3, 6)):
        assert fields[short].separation(fields[long]) < 1 * u.arcsec
    assert fields[2].separation(boresight) < 0.2 * u.deg
    for left, right in ((1, 2), (2, 3)):
        assert 3.485 * u.deg < fields[left].separation(fields[right]) < 4.1 * u.deg
        wcs = make_frame(detector=left, center=boresight).wcs()
        x, y = wcs.wcs_world2pix(fields[right].ra, fields[right].dec, 0)
        assert 2040 < x - 1019.5 < 2400
        assert abs(y - 1019.5) < 120


def test_position_angle_turns_the_detectors_axis():
    boresight = SkyCoord(150.0, -20.0, unit="deg")
    for angle in (0, 75, 300):
        wcs = make_frame(detector=2, center=boresight, position_angle=angle * u.deg).wcs()
        low, high = (SkyCoord(*wcs.all_pix2world(1019.5, y, 0), unit="deg") for y in (900, 1100))
        difference = low.position_angle(high).to_value(u.deg) - angle
        assert abs((difference + 180) % 360 - 180) < 1
    default = make_frame(position_angle=20 * u.deg).pointing
    assert default.boresight.separation(make_frame().pointing.boresight) < 1 * u.mas
    assert default.position_angle.to_value(u.deg) == pytest.approx(20)


def test_planned_pointing_is_in_the_header():
    boresight = SkyCoord(200.0, 30.0, unit="deg")
    header = hdulist(center=boresight)["IMAGE"].header
    ecliptic = boresight.barycentricmeanecliptic
    assert header["SPS_ELON"] == pytest.approx(ecliptic.lon.deg, abs=1e-4)
    assert header["SPS_ELAT"] == pytest.approx(ecliptic.lat.deg, abs=1e-4)
    assert header["SPS_EPA"] == 180
    south = hdulist(center=SkyCoord(80.0, -66.0, unit="deg"))["IMAGE"].header
    assert south["SPS_ELAT"] < -80


def test_detectors_of_an_exposure_start_within_milliseconds_and_small_slews_129_s_apart():
    starts = {detector: hdulist(detector=detector)["IMAGE"].header["MJD-BEG"] for detector in DETECTORS}
    delays = [(start - starts[3]) * 86400e3 for start in starts.values()]
    assert max(delays) == pytest.approx(1, abs=0.1)  # MJD has 0.09 ms
    assert min(delays) == pytest.approx(-1, abs=0.1)
    later = hdulist(detector=3, obs_id="2025W51_1A_0684_3")["IMAGE"].header
    assert (later["MJD-BEG"] - starts[3]) * 86400 == pytest.approx(128.95, abs=1e-3)
    assert later["DATE-BEG"] == "2025-12-18T05:11:43.600"


@pytest.mark.parametrize(
    ("obs_id", "t_min"),
    [
        ("2025W51_2A_0258_2", 61028.776824),
        ("2025W52_1A_0344_1", 61032.713481),
        ("2025W52_2A_0555_1", 61037.266937),
        ("2025W49_1A_0332_1", 61011.504189),
    ],
)
def test_observation_ids_fall_near_their_real_times(obs_id, t_min):
    assert hdulist(obs_id=obs_id)["IMAGE"].header["MJD-BEG"] == pytest.approx(t_min, abs=0.25)


def test_default_token_is_that_of_the_planning_period():
    observations = ("2025W51_1A_0684_2", "2025W51_2A_0258_2", "2026W02_1A_0001_1")
    tokens = [make_frame(obs_id=obs_id).token for obs_id in observations]
    assert tokens == ["l2b-v21-2025-354", "l2b-v21-2025-357", "l2b-v21-2026-010"]
    assert make_frame(release="qr3").token == "l2b-v27-2026-227"


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
        wavelengths.append(make_frame(**options).grid.wavelengths_at(np.array([x]), np.array([y]))[0])
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
    ("start", "following"),
    [
        ("2025W51_1A_0684_4", "2025W51_1A_0686_1"),
        ("2025W51_1A_0744_3", "2025W51_2A_0001_1"),
        ("2025W52_2A_0744_3", "2026W01_1A_0001_1"),
    ],
)
def test_sequences_run_on_into_the_next_slew_and_period(start, following):
    second = plan_exposures("out", exposures=2, detectors=[1], obs_id=start)[1]
    assert second.options["obs_id"] == following
    first_times, second_times = (make_frame(obs_id=obs_id).observation.times(1) for obs_id in (start, following))
    assert first_times.end < second_times.begin


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"obs_id": "2025W51_1A_684_2"}, FormatError, r"obs_id='2025W51_1A_684_2' is no SPHEREx observation id"),
        ({"obs_id": "2025W51_1A_0684_5"}, FormatError, r"small slew \(1 to 4\)"),
        ({"obs_id": "2025W60_1A_0684_2"}, FormatError, r"names no ISO week: Invalid week: 60"),
        ({"token": "v21"}, FormatError, r"token='v21' is no Level 2 processing token; expected one such as"),
        ({"detector": 7}, ParameterError, r"detector=7 is not known; expected a number from 1 to 6"),
        ({"release": "dr1"}, ParameterError, r"release='dr1' is not known; expected 'qr2' or 'qr3'"),
        ({"size": 0}, ParameterError, r"size=0 is not known; expected a side of 1 to 2040 pixels"),
        ({"size": 2041}, ParameterError, r"size=2041"),
        ({"seed": -1}, ParameterError, r"seed=-1 is not known; expected a whole number from 0"),
        ({"seed": 1.5}, ParameterError, r"seed=1.5"),
        ({"wave_grid": (1, 9)}, ParameterError, r"wave_grid=\(1, 9\) .* at least 2 control points"),
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


def test_writer_needs_neither_butler_nor_click():
    code = "import sys, spherex_butler.testing.level2; print([m for m in ('lsst', 'click') if m in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "[]"
