from __future__ import annotations

import io
import stat
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_samples import assert_same

from spherex_butler import SpectralImage
from spherex_butler.errors import FormatError, ParameterError
from spherex_butler.images.level2 import RECIPES, format_unit, parse_unit
from spherex_butler.testing import level2_hdulist, make_spectral_image, write_level2

PLANES = ("IMAGE", "FLAGS", "VARIANCE", "ZODI")


def card_images(header):
    """Return the cards, without those that only say how the data are stored."""
    skipped = {"XTENSION", "SIMPLE", "BITPIX", "NAXIS", "PCOUNT", "GCOUNT", "EXTEND"}
    return [card.image.rstrip() for card in header.cards if card.keyword not in skipped]


@pytest.mark.parametrize("recipe", RECIPES)
def test_written_file_reads_back_the_same_also_by_astropy_alone(level2_path, tmp_path, recipe):
    image = SpectralImage.read(level2_path)
    image.write(tmp_path / "x.fits", recipe=recipe)
    assert_same(SpectralImage.read(tmp_path / "x.fits"), image)
    with fits.open(level2_path) as before, fits.open(tmp_path / "x.fits") as after:
        assert [hdu.name for hdu in after] == [hdu.name for hdu in before]
        for old, new in zip(before, after, strict=True):
            assert card_images(new.header) == card_images(old.header), old.name
            if old.data is not None:
                assert new.data.dtype.newbyteorder("=") == old.data.dtype.newbyteorder("=")
                assert new.data.tobytes() == old.data.tobytes() or np.array_equal(new.data, old.data)


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [("none", {}), ("lossless", dict.fromkeys(PLANES, "GZIP_2")), ("archive", {"FLAGS": "RICE_1"})],
)
def test_recipe_compresses_what_it_says(level2_path, tmp_path, recipe, expected):
    SpectralImage.read(level2_path).write(tmp_path / "x.fits", recipe=recipe)
    with fits.open(tmp_path / "x.fits", disable_image_compression=True) as hdus:
        assert {hdu.name: hdu.header["ZCMPTYPE"] for hdu in hdus if "ZCMPTYPE" in hdu.header} == expected


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("fast", r"no recipe 'fast'; known ones are \['archive', 'lossless', 'none'\]"),
        (None, "no recipe None; known ones are"),
        ({"compression": "GZIP_2"}, r"no recipe \{.*\}; known ones are .*, or give 'planes' and 'flags'"),
        ({"planes": "ZIP", "flags": None}, r"names the compression \{'ZIP'\}; expected one of \(None, 'GZIP_1'"),
    ],
)
def test_unknown_recipe_or_compression_is_refused(tmp_path, recipe, message):
    with pytest.raises(ParameterError, match=message):
        make_spectral_image(size=8).write(tmp_path / "x.fits", recipe=recipe)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("recipe", RECIPES)
def test_images_smaller_than_any_tile(tmp_path, size, recipe):
    image = make_spectral_image(size=size)
    image.write(tmp_path / "x.fits", recipe=recipe)
    assert np.array_equal(SpectralImage.read(tmp_path / "x.fits").data, image.data)


def test_flags_keep_every_bit(tmp_path):
    image = make_spectral_image(size=32)
    image.flags = (np.int32(1) << np.arange(32 * 32, dtype=np.int32).reshape(32, 32) % 31).astype(np.int32)
    for recipe in RECIPES:
        image.write(tmp_path / "x.fits", recipe=recipe, overwrite=True)
        again = SpectralImage.read(tmp_path / "x.fits").flags
        assert again.dtype == np.int32
        assert np.array_equal(again, image.flags)


def test_image_of_data_alone_can_be_written(tmp_path):
    image = SpectralImage(np.ones((3, 4), "f4"), unit="MJy/sr", variance=np.ones((3, 4), "f4"), zodi=np.ones((3, 4)))
    image.write(tmp_path / "x.fits")
    with fits.open(tmp_path / "x.fits") as hdus:
        units = {hdu.name: u.Unit(hdu.header["BUNIT"]) for hdu in hdus[1:]}
    assert units == {"IMAGE": image.unit, "VARIANCE": image.unit**2, "ZODI": image.unit}


def test_changed_unit_is_written_to_every_plane_that_has_one(tmp_path):
    image = make_spectral_image(size=8).convert_unit_to("Jy/arcsec2")
    image.write(tmp_path / "x.fits")
    with fits.open(tmp_path / "x.fits") as hdus:
        units = {name: u.Unit(hdus[name].header["BUNIT"]) for name in ("IMAGE", "VARIANCE", "ZODI")}
        assert u.Unit(hdus["FLAGS"].header.get("BUNIT", "")) == u.one
    assert units == {"IMAGE": image.unit, "VARIANCE": image.unit**2, "ZODI": image.unit}
    again = SpectralImage.read(tmp_path / "x.fits")
    assert again.unit == image.unit
    assert np.array_equal(again.variance, image.variance)


def test_unit_that_fits_lacks_is_refused():
    with pytest.raises(ParameterError, match=r"The unit .* cannot be written to FITS .*; use convert_unit_to first"):
        format_unit(u.Unit("3 MJy/sr"))


def test_text_that_names_no_unit_is_refused():
    assert parse_unit(None) == parse_unit(" ") == u.one
    with pytest.raises(FormatError, match="BUNIT is 'bright'; expected a unit"):
        parse_unit("bright")


# The file that is written.


def test_existing_file_is_kept_unless_overwritten(tmp_path):
    path = tmp_path / "x.fits"
    path.write_text("mine")
    image = make_spectral_image(size=8)
    with pytest.raises(FileExistsError, match=r"x.fits' exists; pass overwrite=True to replace it"):
        image.write(path)
    assert path.read_text() == "mine"
    image.write(path, overwrite=True)
    assert SpectralImage.read(path).obs_id == image.obs_id
    assert [file.name for file in tmp_path.iterdir()] == ["x.fits"]


@pytest.mark.parametrize("target", ["original", "nowhere"])
def test_symbolic_link_gives_way_only_if_overwritten_and_what_it_points_to_stays(tmp_path, target):
    original, link = tmp_path / "original", tmp_path / "x.fits"
    original.write_text("mine")
    link.symlink_to(tmp_path / target)
    image = make_spectral_image(size=8)
    with pytest.raises(FileExistsError, match="pass overwrite=True"):
        image.write(link)
    image.write(link, overwrite=True)
    assert not link.is_symlink()
    assert original.read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / "other").write_text("")
    make_spectral_image(size=8).write(tmp_path / "x.fits")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_full_disk_leaves_nothing_behind_and_the_old_file_whole(run_python, tmp_path):
    (tmp_path / "old.fits").write_text("mine")
    script = """
import resource, signal, sys
from pathlib import Path
from spherex_butler.testing import make_spectral_image
image = make_spectral_image(size=64)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
for name in ("new.fits", "old.fits"):
    try:
        image.write(Path(sys.argv[1], name), overwrite=True, recipe="none")
    except OSError as error:
        print(type(error).__name__)
"""
    assert run_python(script, tmp_path).split() == ["OSError", "OSError"]
    assert [(path.name, path.read_text()) for path in tmp_path.glob("*.*")] == [("old.fits", "mine")]


# Files that are not what they should be.


@given(st.floats(0, 1, exclude_max=True))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_file_truncated_anywhere_but_between_hdus_is_an_error(level2_paths, tmp_path_factory, fraction):
    for path in level2_paths.values():
        raw = path.read_bytes()[: int(path.stat().st_size * fraction)]
        short = tmp_path_factory.getbasetemp() / "short.fits"
        short.write_bytes(raw)
        with fits.open(path) as hdus:
            ends = {hdu.fileinfo()["datLoc"] + hdu.fileinfo()["datSpan"] for hdu in hdus}
        if len(raw) in ends:
            continue
        with pytest.raises(FormatError, match=r"short.fits'|HDU"):
            SpectralImage.read(short)


def test_missing_file_and_missing_folder_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"x.fits"):
        SpectralImage.read(tmp_path / "x.fits")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        make_spectral_image(size=8).write(tmp_path / "nowhere" / "x.fits")


def test_file_without_image_is_refused(tmp_path):
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.zeros((2, 2)), name="SCI")]).writeto(tmp_path / "x.fits")
    with pytest.raises(FormatError, match=r"x.fits' has no HDU 'IMAGE'; it has \['PRIMARY', 'SCI'\]"):
        SpectralImage.read(tmp_path / "x.fits")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("IMAGE", np.zeros((2, 3, 4)), r"HDU 'IMAGE' has shape \(2, 3, 4\); expected two axes"),
        ("VARIANCE", np.zeros((5, 6)), r"HDU 'VARIANCE' has shape \(5, 6\); expected \(8, 8\), the shape of IMAGE"),
        ("FLAGS", np.zeros((8, 8)), "FLAGS are float64; expected integers"),
        ("WCS-WAVE", np.zeros((8, 8)), "HDU 'WCS-WAVE' is not a binary table"),
        ("PSF", None, "HDU 'PSF' has shape"),
    ],
)
def test_hdu_of_another_form_is_refused(name, data, message):
    hdus = level2_hdulist(size=8)
    header = hdus[name].header if name == "FLAGS" else None
    hdus[hdus.index_of(name)] = fits.ImageHDU(data, header=header, name=name)
    with pytest.raises(FormatError, match=message):
        SpectralImage.from_hdulist(hdus)


def test_any_plane_but_the_image_may_be_missing():
    for name in ("FLAGS", "VARIANCE", "ZODI", "PSF", "WCS-WAVE"):
        hdus = level2_hdulist(size=8)
        del hdus[name]
        image = SpectralImage.from_hdulist(hdus)
        stream = io.BytesIO()
        image.to_hdulist().writeto(stream)
        assert name not in [hdu.name for hdu in fits.open(io.BytesIO(stream.getvalue()))]


def test_image_of_an_hdulist_is_that_of_its_file(level2_path):
    with fits.open(level2_path) as hdus:
        image = SpectralImage.from_hdulist(hdus)
    again = SpectralImage.read(Path(level2_path))
    assert np.array_equal(image.data, again.data)
    image.data[:] = 0
    assert image.zodi.max() > 0


def test_fully_compressed_file_reads_the_same(tmp_path):
    path = write_level2(tmp_path / "x.fits", size=24)
    with fits.open(path) as hdus:
        packed = [
            fits.CompImageHDU(h.data, h.header, compression_type="GZIP_2", quantize_level=0)
            if isinstance(h, fits.ImageHDU)
            else h.copy()
            for h in hdus
        ]
        fits.HDUList(packed).writeto(tmp_path / "packed.fits")
    plain, packed = (SpectralImage.read(tmp_path / name) for name in ("x.fits", "packed.fits"))
    for name in ("data", "variance", "flags", "zodi"):
        assert np.array_equal(getattr(plain, name), getattr(packed, name))
    assert np.array_equal(plain.psf.kernels, packed.psf.kernels)
    assert np.array_equal(plain.psf.zones, packed.psf.zones)
