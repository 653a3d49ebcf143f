"""Fluxes of catalogued sources in one image: by the task, and by the function that it calls."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.nddata import CCDData
from astropy.table import QTable, Table
from astropy.time import Time
from lsst.pex.config import FieldValidationError
from lsst.pipe.base import NoWorkFound
from lsst.sphgeom import Angle, Box, LonLat
from point_sources import blank, fill, stamp

from spherex_butler.errors import ParameterError
from spherex_butler.spectra import measure_catalog
from spherex_butler.tasks import ForcedPhotometryConfig, ForcedPhotometryTask
from spherex_butler.tasks.forced_photometry import ForcedPhotometryConnections

FLUX = 0.01 * u.Jy
PLACES = [(12.3, 14.1), (20.2, 16.8)]


@pytest.fixture
def image():
    """Return an image with two sources of 10 mJy, a few pixels from each other."""
    found = blank()
    pixel = found.wcs.proj_plane_pixel_area().to_value(u.sr)
    light = sum(FLUX.to_value(u.MJy) / pixel * stamp(found, x, y) for x, y in PLACES)
    return fill(found, light, np.random.default_rng(1))


@pytest.fixture
def catalog(image):
    """Return the two, and one beyond the image."""
    x, y = zip(*PLACES, (300, 5), strict=True)
    where = image.wcs.pixel_to_world(x, y)
    return QTable({"name": ["left", "right", "beyond"], "ra": where.ra.value * u.deg, "dec": where.dec.value * u.deg})


def task(**config):
    found = ForcedPhotometryConfig()
    found.update(**config)
    return ForcedPhotometryTask(config=found)


def test_sources_in_the_image_are_measured(image, catalog):
    fluxes = task().run(image, [catalog]).fluxes
    assert fluxes["source"].tolist() == ["left", "right"]
    assert fluxes["flux"].to_value(u.Jy) == pytest.approx(FLUX.value, rel=0.05)
    assert (np.abs(fluxes["flux"] - FLUX) < 4 * fluxes["flux_error"]).all()
    assert fluxes["x"].value == pytest.approx([x + image.origin[0] for x, _ in PLACES], abs=1e-3)
    assert fluxes["wavelength"].value == pytest.approx([image.wavelength_at(x, y).value for x, y in PLACES], abs=1e-6)
    assert fluxes["ra"].value.tolist() == pytest.approx(catalog["ra"].value[:2].tolist())


def test_image_is_told_by_its_header(image, catalog):
    fluxes = task().run(image, [catalog]).fluxes
    assert set(fluxes["obs_id"]) == {"2025W51_1A_0684_2"}
    assert set(fluxes["exposure"]) == {20255110106842}
    assert set(fluxes["detector"]) == {3}
    middle = (image.header["MJD-BEG"] + image.header["MJD-END"]) / 2
    assert Time(fluxes["time"][0], scale="utc").mjd == pytest.approx(middle, abs=1e-9)


def test_parts_of_a_catalogue_are_as_good_as_the_whole(image, catalog):
    whole = task().run(image, [catalog]).fluxes
    parts = task().run(image, [catalog[:1], catalog[:0], catalog[1:]]).fluxes
    assert parts["flux"].value.tolist() == whole["flux"].value.tolist()


def test_neighbours_are_told_apart_unless_configured_otherwise(image, catalog):
    near = QTable({"name": ["near"], "ra": catalog["ra"][:1] + 0.1 * u.arcsec, "dec": catalog["dec"][:1]})
    both = [catalog[:1], near]
    # Sources a tenth of a pixel apart are the same one; two fluxes apart by 2.5 pixels are fitted together.
    assert task().run(image, both).fluxes["flux"][0].value == pytest.approx(FLUX.value, rel=0.05)
    assert task().run(image, both).fluxes.meta["deblended"] == "yes"
    assert task(deblend=False).run(image, both).fluxes.meta["deblended"] == "no"


def test_solid_angles_are_those_of_the_map(image, catalog):
    twice = 2 * image.wcs.proj_plane_pixel_area().to_value(u.arcsec**2)
    angles = CCDData(np.full((2040, 2040), twice, np.float32), unit="arcsec2")
    by_map, by_wcs = (task().run(image, [catalog], found).fluxes for found in (angles, None))
    assert (by_map["flux"] / by_wcs["flux"]).value == pytest.approx(2, rel=0.01)
    assert (by_map.meta["solid_angle"], by_wcs.meta["solid_angle"]) == ("solid_angle_pixel_map", "WCS")
    with pytest.raises(ParameterError, match=r"of solid angles has shape \(9, 9\) .* expected one of the full frame"):
        task().run(image, [catalog], CCDData(np.ones((9, 9)), unit="arcsec2"))


def test_method_is_configured(image, catalog):
    fluxes = task(aperture=2.5, size=21, badFlags=["HOT"]).run(image, [catalog]).fluxes
    assert fluxes.meta["method"] == "aperture of 2.5 pixels"
    assert (fluxes.meta["size"], fluxes.meta["bad_flags"]) == ("21 pixels", "HOT")
    with pytest.raises(ParameterError, match=r"size=5 is out of range; expected 11 to 301"):
        measure_catalog(image, catalog, size=5)


@pytest.mark.parametrize(
    ("aperture", "size", "message"), [(6, 11, "a circle 12 pixels wide"), (200, 301, "at most 150.5")]
)
def test_aperture_that_does_not_fit_is_refused_before_any_work(aperture, size, message):
    config = ForcedPhotometryConfig()
    config.update(aperture=aperture, size=size)
    with pytest.raises(FieldValidationError, match=message):
        config.validate()
    config.aperture = 5
    config.validate()


def test_star_is_where_it_is_at_the_time_of_the_image(image):
    x, y = PLACES[0]
    there = image.wcs.pixel_to_world(x, y)
    time = Time((image.header["MJD-BEG"] + image.header["MJD-END"]) / 2, format="mjd", scale="utc")
    before = Time("J2016")
    motion = 10 * u.arcsec / u.yr
    north = SkyCoord(
        there.ra, there.dec - motion * (time - before), pm_ra_cosdec=0 * motion, pm_dec=motion, obstime=before
    )
    (found,) = measure_catalog(image, QTable({"name": ["star"], "where": north.reshape(1)}))
    assert found["x"].value - image.origin[0] == pytest.approx(x, abs=0.02)
    assert found["flux"].to_value(u.Jy) == pytest.approx(FLUX.value, rel=0.2)


@pytest.mark.parametrize("rows", [slice(0), slice(2, 3)])
def test_image_without_a_source_is_no_work(image, catalog, rows):
    with pytest.raises(NoWorkFound, match="No source of the catalogue"):
        task().run(image, [catalog[rows]])


def test_catalogue_that_is_no_table_is_refused(image):
    with pytest.raises(ParameterError, match="has the columns a; expected one that holds SkyCoord"):
        measure_catalog(image, Table({"a": [1]}))
    with pytest.raises(ParameterError, match="expected a table with coordinates"):
        measure_catalog(image, Box(LonLat.fromDegrees(1, 1), Angle(0.1), Angle(0.1)))


def test_catalogue_has_the_dimensions_of_the_configuration():
    config = ForcedPhotometryConfig()
    assert ForcedPhotometryConnections(config=config).catalogs.dimensions == ("healpix4",)
    config.catalogDimensions = []
    config.useSolidAngles = False
    connections = ForcedPhotometryConnections(config=config)
    assert connections.catalogs.dimensions == ()
    assert connections.prerequisiteInputs == {"catalogs"}
