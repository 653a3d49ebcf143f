"""Spectra from a repository: the flux of sources in all images that saw them, whatever release and gain."""

from __future__ import annotations

from collections.abc import Iterator

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import votable
from astropy.nddata import CCDData
from astropy.table import QTable, Table
from astropy.time import Time
from lsst.daf.butler import Butler
from made_once import copy_repo, open_repo
from point_sources import stamp

from spherex_butler import SpectralImage
from spherex_butler.calibrations import certify
from spherex_butler.constants import FULL_FRAME
from spherex_butler.errors import ConfigurationError, ParameterError, SpherexButlerWarning
from spherex_butler.images.positions import sky_pixels
from spherex_butler.ingest import ingest_files
from spherex_butler.names import parse_product_name
from spherex_butler.repository.runs import ensure_run
from spherex_butler.search import Cutouts, find_images, read_table
from spherex_butler.search.writing import FORMATS, write_images
from spherex_butler.spectra import apply_gains, extract_spectra, extract_spectrum, measure, measure_catalog
from spherex_butler.testing import source_catalog, write_level2
from spherex_butler.testing.frames import make_frame
from spherex_butler.testing.level2 import plan_exposures
from spherex_butler.testing.planes import pixel_positions
from spherex_butler.testing.sky import source_flux

SIDE = 44
BORESIGHT = SkyCoord(10.0, 41.0, unit="deg")
GAIN = 0.97
QR3_PERIOD = "2026W33_1A_0684_2"


def isolated_star() -> QTable:
    """Return a source of some mJy near the boresight, without another one within a minute of arc."""
    catalog = source_catalog(BORESIGHT, 0.5 * u.deg)
    places = SkyCoord(catalog["ra"], catalog["dec"])
    _, apart, _ = places.match_to_catalog_sky(places, nthneighbor=2)
    bright = (catalog["flux"] > 4 * u.mJy) & (catalog["flux"] < 40 * u.mJy) & (apart > 50 * u.arcsec)
    return catalog[bright][:1]


STAR = isolated_star()
POSITION = SkyCoord(STAR["ra"][0], STAR["dec"][0])


def write_around(folder, position=POSITION, *, exposures=3, detector=2, **options):
    """Write what a scan shows of the surroundings of a position, each exposure a channel further along y."""
    paths = []
    planned = plan_exposures(folder, exposures=exposures, detectors=[detector], center=BORESIGHT, **options)
    for number, one in enumerate(planned):
        at = position[number] if position.shape else position
        x, y = pixel_positions(make_frame(**one.options).wcs(), at.ra.deg, at.dec.deg)
        origin = tuple(int(np.clip(round(float(place)) - SIDE // 2, 0, FULL_FRAME - SIDE)) for place in (x, y))
        paths.append(write_level2(one.path, **one.options | {"size": SIDE, "origin": origin, "full_psf": True}))
    return paths


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return files of both releases, in a folder each."""
    folder = tmp_path_factory.mktemp("files")
    write_around(folder / "qr2")
    write_around(folder / "qr3", release="qr3", obs_id=QR3_PERIOD)
    return folder


@pytest.fixture
def repo(tmp_path, files) -> Iterator[Butler]:
    """Return a repository with images of QR2."""
    with open_repo(copy_repo(tmp_path / "repo")) as butler:
        ingest_files(butler, files / "qr2")
        yield butler


def truth(spectra):
    return source_flux(STAR[np.zeros(len(spectra), int)], spectra["wavelength"]).to(u.Jy)


def test_spectrum_of_a_star_is_what_it_was_made_with(repo):
    spectrum = extract_spectrum(repo, POSITION)
    assert len(spectrum) == 3
    assert spectrum["flux"].value == pytest.approx(truth(spectrum).value, rel=0.02)
    assert (np.abs(spectrum["flux"] - truth(spectrum)) < 5 * spectrum["flux_error"] + 0.01 * truth(spectrum)).all()
    assert (np.diff(spectrum["wavelength"]) != 0).all()
    images = find_images(repo, POSITION, refine=True)
    assert spectrum["wavelength"].value == pytest.approx(images["wavelength"].value, abs=1e-6)
    assert spectrum["x"].value == pytest.approx(images["x"].value, abs=1e-3)
    assert spectrum["dataset_id"].tolist() == images["dataset_id"].tolist()


def test_columns_have_units_and_the_header_says_how_they_were_made(repo):
    spectrum = extract_spectrum(repo, POSITION)
    assert spectrum.colnames == [
        *("source", "wavelength", "bandwidth", "flux", "flux_error", "background", "background_error", "chi2"),
        *("masked_fraction", "flags", "x", "y", "detector", "exposure", "obs_id", "time", "release", "run"),
        "dataset_id",
    ]
    units = {name: str(spectrum[name].unit) for name in ("wavelength", "flux", "background", "x")}
    assert units == {"wavelength": "um", "flux": "Jy", "background": "MJy / sr", "x": "pix"}
    assert spectrum.meta["method"] == "matched filter"
    assert spectrum.meta["gains"] == "of each release"
    assert spectrum.meta["solid_angle"] == "WCS"
    assert "HOT=10" in spectrum.meta["flags"].split()


@pytest.mark.parametrize("name", FORMATS)
def test_spectra_are_written_in_every_format(repo, tmp_path, name):
    spectrum = extract_spectrum(repo, POSITION)
    write_images(spectrum, tmp_path / "spectrum", format=name)
    assert (tmp_path / "spectrum").stat().st_size
    if name in {"ecsv", "fits", "votable"}:
        read = QTable.read(tmp_path / "spectrum", format="ascii.ecsv" if name == "ecsv" else name)
        assert read["flux"].to_value(u.Jy).tolist() == spectrum["flux"].value.tolist()


def test_every_format_but_csv_tells_how_spectra_were_made(repo, tmp_path):
    spectrum = extract_spectrum(repo, POSITION)
    assert spectrum.meta["method"] == "matched filter"
    for name in ("a.ecsv", "a.fits", "a.vot", "a.parquet", "a.csv"):
        write_images(spectrum, tmp_path / name)
    assert dict(read_table(tmp_path / "a.ecsv").meta) == dict(spectrum.meta)
    assert dict(read_table(tmp_path / "a.parquet").meta) == dict(spectrum.meta)
    assert "method: matched filter" in Table.read(tmp_path / "a.fits").meta["comments"]
    told = "; ".join(f"{name}: {value}" for name, value in spectrum.meta.items())
    assert Table.read(tmp_path / "a.vot").meta["description"].split() == told.split()
    infos = {info.name: info.value for info in votable.parse_single_table(tmp_path / "a.vot").infos}
    assert infos == spectrum.meta
    assert "matched filter" not in (tmp_path / "a.csv").read_text()


def test_positions_without_images_give_an_empty_table(repo):
    spectrum = extract_spectrum(repo, SkyCoord(200, -40, unit="deg"))
    assert len(spectrum) == 0
    assert spectrum["flux"].unit == u.Jy


def test_what_is_in_the_folder_is_not_read_again(repo, tmp_path):
    first = extract_spectrum(repo, POSITION, folder=tmp_path / "kept")
    for ref in repo.query_datasets("level2"):
        repo.getURI(ref).remove()
    done = Cutouts()
    second = extract_spectrum(repo, POSITION, folder=tmp_path / "kept", report=done)
    assert (done.fetched, done.there) == (0, 3)
    assert second["flux"].value.tolist() == first["flux"].value.tolist()


def test_file_in_the_way_of_kept_psfs_is_refused_before_anything_is_read(repo, tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "psf").write_text("mine")
    with pytest.raises(ConfigurationError, match=r"There cannot be a folder '.*psf': FileExistsError.* give another"):
        extract_spectrum(repo, POSITION, folder=tmp_path / "kept")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["psf"]


@pytest.mark.parametrize("content", [b"", b"hello", None])
def test_a_damaged_psf_in_the_folder_is_read_again(repo, tmp_path, content, caplog):
    first = extract_spectrum(repo, POSITION, folder=tmp_path)
    (kept,) = (tmp_path / "psf").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2] if content is None else content)
    again = extract_spectrum(repo, POSITION, folder=tmp_path)
    assert again["flux"].value.tolist() == first["flux"].value.tolist()
    assert kept.stat().st_size == len(whole)
    assert f"{kept} is damaged, and is read again" in caplog.text


def test_an_image_that_cannot_be_read_keeps_no_other_out(repo, caplog):
    lost = repo.query_datasets("level2")[0]
    repo.getURI(lost).remove()
    done = Cutouts()
    spectrum = extract_spectrum(repo, POSITION, report=done)
    unknown = np.isnan(spectrum["flux"])
    assert spectrum["dataset_id"][unknown].tolist() == [str(lost.id)]
    assert len(done.failed) == 1
    assert "1 of 3 measurements failed, the first: row" in caplog.text


def test_several_sources_are_told_apart_by_name(repo):
    sources = QTable(
        {"name": ["here", "off"], "ra": [POSITION.ra] * 2, "dec": [POSITION.dec, POSITION.dec + 30 * u.arcsec]}
    )
    spectra = extract_spectra(repo, sources)
    assert sorted(set(spectra["source"].tolist())) == ["here", "off"]
    off = spectra[spectra["source"] == "off"]
    assert (off["flux"] < 0.2 * spectra["flux"][spectra["source"] == "here"]).all()
    with pytest.raises(ParameterError, match=r"spectra of 2 sources; expected one position"):
        extract_spectrum(repo, sources)


def test_apertures_agree_with_the_filter(repo):
    by_filter, by_aperture = (extract_spectrum(repo, POSITION, aperture=radius) for radius in (None, 2.5))
    apart = np.abs(by_filter["flux"] - by_aperture["flux"])
    assert (apart < 4 * by_aperture["flux_error"] + 0.01 * by_filter["flux"]).all()
    assert by_aperture.meta["method"] == "aperture of 2.5 pixels"


def test_neighbours_are_fitted_together(tmp_path):
    beside = POSITION.directional_offset_by(30 * u.deg, 2 * 6.15 * u.arcsec)
    paths = write_around(tmp_path / "files", exposures=2)
    for path in paths:
        add_source(path, beside, 0.02 * u.Jy)
    with open_repo(copy_repo(tmp_path / "repo")) as butler:
        ingest_files(butler, tmp_path / "files")
        apart = extract_spectra(butler, SkyCoord([POSITION, beside]), deblend=True)
        with_list = extract_spectrum(butler, POSITION, neighbours=beside.reshape(1))
        alone = extract_spectrum(butler, POSITION)
    first, second = (apart[apart["source"] == number] for number in (0, 1))
    assert first["flux"].value == pytest.approx(truth(first).value, rel=0.02)
    assert second["flux"].value == pytest.approx(0.02, rel=0.02)
    assert with_list["flux"].value == pytest.approx(first["flux"].value, rel=1e-4)
    assert (alone["flux"] > 1.02 * truth(alone)).all()
    assert (apart.meta["deblended"], alone.meta["deblended"]) == ("yes", "no")


def add_source(path, position, flux):
    """Add a source to the pixels of a file."""
    image = SpectralImage.read(path)
    x, y = (axis.item() for axis in sky_pixels(position, image.data.shape, image.wcs))
    pixel = image.wcs.proj_plane_pixel_area().to_value(u.sr)
    image.data = image.data + (flux.to_value(u.MJy) / pixel * stamp(image, x, y, image.data.shape)).astype(np.float32)
    image.write(path, overwrite=True)


def test_a_moving_target_is_measured_where_it_is(tmp_path):
    steps = np.arange(3)
    track = POSITION.directional_offset_by(100 * u.deg, (20 + 9 * steps) * u.arcsec)
    paths = write_around(tmp_path / "files", track)
    for path, place in zip(paths, track, strict=True):
        add_source(path, place, 0.01 * u.Jy)
    times = Time([SpectralImage.read(path).header["MJD-AVG"] for path in paths], format="mjd", scale="utc")

    def where(at: Time) -> SkyCoord:
        step = np.interp(at.utc.mjd, times.mjd, steps)
        return POSITION.directional_offset_by(100 * u.deg, (20 + 9 * step) * u.arcsec)

    with open_repo(copy_repo(tmp_path / "repo")) as butler:
        ingest_files(butler, tmp_path / "files")
        spectrum = extract_spectrum(butler, where)
    assert spectrum["flux"].value == pytest.approx(0.01, rel=0.04)


# Releases that fit together.


@pytest.fixture
def both(tmp_path, files) -> Iterator[Butler]:
    """Return a repository of both releases, in which QR2's gains are off by 3 %, and the corrections say so."""
    folder = tmp_path / "qr2"
    write_around(folder)
    for path in folder.iterdir():
        image = SpectralImage.read(path)
        image.data = image.data / np.float32(GAIN)
        image.write(path, overwrite=True)
    with open_repo(copy_repo(tmp_path / "both")) as butler:
        ingest_files(butler, [folder, files / "qr3"])
        put_corrections(butler, 2, np.full((FULL_FRAME, FULL_FRAME), GAIN, np.float32))
        yield butler


def put_corrections(butler, detector, factors):
    name = parse_product_name(f"l3_flux_corrections_D{detector}_spx_cal-flxc-v1-2026-191.fits")
    run = ensure_run(butler, name, "qr3")
    butler.put(CCDData(factors, unit=""), "l3_flux_corrections", detector=detector, instrument="SPHEREx", run=run)
    certify(butler, "l3_flux_corrections", rule="latest")


def test_images_of_two_releases_without_gains_warn_and_say_what_to_do(both):
    with pytest.warns(SpherexButlerWarning, match=r"qr2 and qr3, whose gains differ .* Pass gains='qr3'"):
        spectrum = extract_spectrum(both, POSITION)
    ratio = spectrum["flux"] / truth(spectrum)
    of_release = [np.median(ratio.value[spectrum["release"] == release]) for release in ("qr2", "qr3")]
    assert of_release[0] / of_release[1] == pytest.approx(1 / GAIN, abs=0.015)


def test_gains_take_qr2_onto_qr3(both):
    as_it_is = extract_spectrum(both, POSITION, collections="SPHEREx/qr2")
    on_qr3 = extract_spectrum(both, POSITION, gains="qr3")
    qr2 = on_qr3[on_qr3["release"] == "qr2"]
    assert (qr2["flux"] / as_it_is["flux"]).value == pytest.approx(GAIN, rel=2e-4)
    assert (qr2["flux_error"] / as_it_is["flux_error"]).value == pytest.approx(GAIN, rel=2e-3)
    assert on_qr3["flux"].value == pytest.approx(truth(on_qr3).value, rel=0.02)
    assert on_qr3.meta["gains"] == "qr3 spx/cal-flxc-v1-2026-191"


def test_gains_without_a_correction_say_which_there_are(repo):
    done = Cutouts()
    spectrum = extract_spectrum(repo, POSITION, gains="qr3", report=done)
    assert np.isnan(spectrum["flux"]).all()
    assert "l3_flux_corrections for exposure" in str(done.failed[0])
    assert "There are no candidates" in str(done.failed[0])


@pytest.mark.parametrize("detector", [4, 5])
def test_gains_give_qr2_the_wavelengths_of_qr3(tmp_path, detector):
    write_around(tmp_path / "files", exposures=1, detector=detector)
    with open_repo(copy_repo(tmp_path / "repo")) as butler:
        ingest_files(butler, tmp_path / "files")
        put_corrections(butler, detector, np.ones((FULL_FRAME, FULL_FRAME), np.float32))
        image = butler.get(butler.query_datasets("level2")[0])
        position = image.wcs.pixel_to_world(SIDE / 2, SIDE / 2)
        by_release, on_qr3 = (extract_spectrum(butler, position, gains=gains) for gains in (None, "qr3"))
    shift = (on_qr3["wavelength"] - by_release["wavelength"]).to_value(u.nm)
    assert shift == pytest.approx([6.40 if detector == 5 else 0.0], abs=0.01)
    # Taking QR2's map for QR3's gains would be wrong by this much of a bandwidth.
    assert (shift / by_release["bandwidth"].to_value(u.nm)) == pytest.approx([0.18 if detector == 5 else 0], abs=0.03)


def test_wild_factors_are_flagged_and_not_applied(files):
    image = SpectralImage.read(next((files / "qr2").iterdir()))
    factors = np.full(image.data.shape, GAIN)
    factors[3, 4], factors[5, 6], factors[7, 8] = 3653, 0.011, np.nan
    corrected = apply_gains(image, factors)
    wild = np.isin(np.arange(factors.size).reshape(factors.shape), [3 * SIDE + 4, 5 * SIDE + 6, 7 * SIDE + 8])
    assert corrected.data[wild].tolist() == image.data[wild].tolist()
    assert corrected.data[~wild] == pytest.approx(GAIN * image.data[~wild], rel=1e-6)
    assert corrected.variance[~wild] == pytest.approx(GAIN**2 * image.variance[~wild], rel=1e-6)
    assert corrected.zodi[~wild] == pytest.approx(GAIN * image.zodi[~wild], rel=1e-6)
    bit = 1 << corrected.flag_definitions["UNCORRECTED"]
    assert ((corrected.flags & bit) != 0).tolist() == wild.tolist()
    assert corrected.mask[wild].all()
    assert "UNCORRECTED" not in image.flag_definitions


def test_two_sources_of_one_name_are_refused(repo, files):
    """Their measurements would be one spectrum."""
    catalog = QTable({"name": ["a", "b", "a"], "ra": [10.0, 10.1, 10.2] * u.deg, "dec": [41.0, 41.0, 41.0] * u.deg})
    image = SpectralImage.read(next((files / "qr2").iterdir()))
    for extract in (lambda: extract_spectra(repo, catalog), lambda: measure_catalog(image, catalog)):
        with pytest.raises(ParameterError, match="has 2 sources of the name 'a'; expected a name of its own for each"):
            extract()


def test_gains_are_corrected_once(files, tmp_path):
    image = SpectralImage.read(next((files / "qr2").iterdir()))
    corrected = apply_gains(image, np.full(image.data.shape, GAIN))
    corrected.write(tmp_path / "corrected.fits", recipe="none")
    for one in (corrected, SpectralImage.read(tmp_path / "corrected.fits")):
        with pytest.raises(ParameterError, match=r"has the flag UNCORRECTED, .* on the gains of QR3 already"):
            apply_gains(one, np.full(image.data.shape, GAIN))


def test_images_of_qr3_keep_their_gains(files):
    image = SpectralImage.read(next((files / "qr3").iterdir()))
    with pytest.raises(ParameterError, match=r"is of QR3, .* expected one of QR2"):
        apply_gains(image, np.full(image.data.shape, GAIN))


@pytest.mark.parametrize("image", ["level2.fits", np.ones((3, 3)), CCDData(np.ones((3, 3)), unit="Jy"), None])
def test_what_is_no_spectral_image_is_refused(image):
    expected = rf"The image is a {type(image).__name__}; expected a SpectralImage, as butler\.get"
    for function in (
        lambda: apply_gains(image, np.ones((3, 3))),
        lambda: measure(image, 1, 1, solid_angle=1e-9),
        lambda: measure_catalog(image, QTable({"ra": [1.0], "dec": [2.0]})),
    ):
        with pytest.raises(ParameterError, match=expected):
            function()


def test_corrections_of_another_shape_are_refused(files):
    image = SpectralImage.read(next((files / "qr2").iterdir()))
    with pytest.raises(ParameterError, match=r"corrections have shape \(10, 10\) .*expected those of the full frame"):
        apply_gains(image, np.ones((10, 10)))


def test_corrections_are_numbers_without_a_unit(files):
    image = SpectralImage.read(next((files / "qr2").iterdir()))
    assert apply_gains(image, CCDData(np.ones(image.data.shape), unit="")).data.tolist() == image.data.tolist()
    for wrong in (image, "gains.fits", np.full(image.data.shape, "1"), np.ones(image.data.shape, complex)):
        with pytest.raises(ParameterError, match=r"expected factors without a unit, as butler\.get"):
            apply_gains(image, wrong)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "Give positions, or the table of a search"),
        ({"positions": POSITION, "size": 5}, r"size=5 is out of range; expected 11 to 301 pixels"),
        ({"positions": POSITION, "size": "x"}, r"size='x'"),
        ({"positions": POSITION, "aperture": 16}, r"32 pixels wide, .* size=31 hold a part; expected at most 15\.5"),
        ({"positions": POSITION, "gains": "qr1"}, r"gains='qr1' is not known; expected 'qr3'"),
        ({"table": QTable(), "detectors": 3}, "detectors choose images, and table is a choice already"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(repo, options, message):
    with pytest.raises(ParameterError, match=message):
        extract_spectra(repo, **options)
