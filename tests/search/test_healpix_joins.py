"""Datasets of pixels of the sky are found from images that overlap them, and back, by Butler's own queries."""

from __future__ import annotations

import hpgeom
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from lsst.daf.butler import DatasetType
from lsst.daf.butler._exceptions import UnimplementedQueryError
from lsst.sphgeom import LonLat, UnitVector3d
from made_once import copy_exposures

from spherex_butler.ingest import ingest_files

RUN = "u/me/catalogue"


@pytest.fixture
def shards(butler, tmp_path):
    """Return an image, and the pixels over it of which there is a part of a catalogue; there is one elsewhere, too."""
    ingest_files(butler, copy_exposures(tmp_path / "files"), transfer="copy")
    (image,) = butler.query_datasets("level2", "SPHEREx/defaults", where="detector = 3")
    corners = butler.get(image).footprint
    near = hpgeom.query_polygon(16, corners.ra.deg, corners.dec.deg, inclusive=True, nest=True).tolist()
    pixels = [*near, int(hpgeom.angle_to_pixel(16, 200.0, -40.0, nest=True))]
    butler.registry.registerDatasetType(DatasetType("shard", butler.dimensions.conform(["healpix4"]), "HDF5Table"))
    butler.collections.register(RUN)
    for pixel in pixels:
        butler.put(QTable({"source": np.arange(3) + 10 * pixel}), "shard", healpix4=pixel, run=RUN)
    return image, set(near)


def test_parts_of_a_catalogue_are_found_from_an_image(butler, shards):
    image, near = shards
    found = butler.query_datasets("shard", RUN, data_id=image.dataId)
    assert {ref.dataId["healpix4"] for ref in found} == near
    assert all(butler.get(ref)["source"][0] == 10 * ref.dataId["healpix4"] for ref in found)


def test_images_are_found_from_a_part_of_a_catalogue(butler, shards):
    image, near = shards
    for pixel in near:
        found = butler.query_datasets("level2", "SPHEREx/defaults", where=f"healpix4 = {pixel}", explain=False)
        assert image in found
    elsewhere = int(hpgeom.angle_to_pixel(16, 200.0, -40.0, nest=True))
    assert not butler.query_datasets("level2", "SPHEREx/defaults", where=f"healpix4 = {elsewhere}", explain=False)


def test_pixel_of_htm_is_found_with_a_position_only(butler, shards):
    image, _ = shards
    middle = SkyCoord(butler.get(image).footprint.cartesian.mean()).spherical
    pixel = butler.dimensions.skypix_dimensions["htm7"].pixelization
    region = pixel.pixel(pixel.index(_direction(middle)))
    found = butler.query_datasets(
        "level2",
        "SPHEREx/defaults",
        where="exposure_detector_region.region OVERLAPS(:pixel)",
        bind={"pixel": region},
    )
    assert image in found
    with pytest.raises(UnimplementedQueryError, match="htm7"):
        butler.query_datasets("level2", "SPHEREx/defaults", where=f"htm7 = {pixel.index(_direction(middle))}")


def _direction(place):
    return UnitVector3d(LonLat.fromDegrees(place.lon.deg, place.lat.deg))
