from __future__ import annotations

import io
import os

import numpy as np
import pytest
from astropy.io import fits
from fits_samples import opened, written
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spherex_butler.errors import FormatError
from spherex_butler.formats.fits.boxes import Box
from spherex_butler.formats.fits.file import FitsFile, open_local_fits

RNG = np.random.default_rng(20250101)
SHAPE = (30, 40)
BOXES = [None, Box(3, 20, 8, 9), Box(0, 40, 29, 30), Box(39, 40, 0, 30), Box(5, 17, 6, 25)]
EXACT = {"quantize_level": 0}
DITHERED = {"quantize_level": 4, "quantize_method": 1, "dither_seed": 37}
WIDE = st.integers(1, 45)
DITHERED_2 = {"quantize_level": 4, "quantize_method": 2, "dither_seed": 9999}


def raw_of(*hdus):
    return written([fits.PrimaryHDU(), *hdus])


def image_of(raw, box=None):
    file = opened(raw)
    return file.image(file["X"], box)


def read_all(raw):
    image_of(raw)
    opened(raw).hdus()


def by_astropy(raw):
    with fits.open(io.BytesIO(raw), memmap=False) as hdus:
        return np.array(hdus["X"].data)


def assert_same_as_astropy(raw):
    expected = by_astropy(raw)
    for box in BOXES:
        found = image_of(raw, box)
        assert found.dtype.isnative
        assert found.dtype == expected.dtype.newbyteorder("=")
        assert np.array_equal(
            found, expected if box is None else expected[box.slices], equal_nan=found.dtype.kind == "f"
        )


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "i8", "f4", "f8", "i1", "u2", "u4", "u8"])
def test_plain_image(dtype):
    assert_same_as_astropy(raw_of(fits.ImageHDU(RNG.integers(0, 99, SHAPE).astype(dtype), name="X")))


@pytest.mark.parametrize(
    "cards", [{"BSCALE": 0.5, "BZERO": 3.0}, {"BSCALE": 2.0}, {"BLANK": 7}, {"BLANK": 7, "BSCALE": 0.1}]
)
def test_scaled_image_with_blanks(cards):
    hdu = fits.ImageHDU(RNG.integers(0, 9, SHAPE).astype("i2"), name="X")
    raw = bytearray(raw_of(hdu))
    end = raw.index(b"END" + b" " * 77, 2880)
    text = "".join(str(fits.Card(*card)) for card in cards.items()) + f"{'END':80}"
    raw[end : end + len(text)] = text.encode()
    assert_same_as_astropy(bytes(raw))


@pytest.mark.parametrize("tile", [None, (1, 40), (7, 13), (30, 40), (64, 64), (10, 40), (30, 5)])
@pytest.mark.parametrize(
    ("compression", "dtype", "options"),
    [
        ("RICE_1", "i4", {}),
        ("RICE_1", "i2", {}),
        ("RICE_1", "u1", {}),
        ("RICE_1", "f4", {"quantize_level": 16}),
        ("RICE_1", "f4", DITHERED),
        ("RICE_1", "f8", DITHERED_2),
        ("GZIP_1", "f4", EXACT),
        ("GZIP_2", "f8", EXACT),
        ("GZIP_2", "f4", DITHERED),
        ("GZIP_2", "i4", {}),
        ("PLIO_1", "i2", {}),
        ("NOCOMPRESS", "f4", EXACT),
    ],
)
def test_tile_compressed_image(compression, dtype, options, tile):
    data = RNG.normal(100, 20, SHAPE) if dtype.startswith("f") else RNG.integers(0, 99, SHAPE)
    hdu = fits.CompImageHDU(data.astype(dtype), name="X", compression_type=compression, tile_shape=tile, **options)
    assert_same_as_astropy(raw_of(hdu))


def noise_with_gaps() -> np.ndarray:
    data = RNG.normal(100, 20, SHAPE).astype("f4")
    data[3] = 5.0
    data[4, :7] = data[12] = np.nan
    return data


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (noise_with_gaps(), {"compression_type": "RICE_1", "quantize_level": 4}),
        (np.arange(1200, dtype="i4").reshape(SHAPE), {"compression_type": "HCOMPRESS_1", "tile_shape": (10, 20)}),
    ],
)
def test_compressed_image_with_gaps_or_by_wavelets(data, options):
    assert_same_as_astropy(raw_of(fits.CompImageHDU(data, name="X", **options)))


@pytest.mark.parametrize("shape", [(7,), (2, 3, 4), (3, 0, 4), (0, 5), (5, 0), (2, 3, 4, 5)])
def test_image_of_any_shape(shape):
    data = RNG.integers(0, 99, shape).astype("i4")
    assert np.array_equal(image_of(raw_of(fits.ImageHDU(data, name="X"))), data)
    if data.size:
        assert np.array_equal(image_of(raw_of(fits.CompImageHDU(data, name="X", tile_shape=(2,) * data.ndim))), data)


@given(st.integers(0, 39), st.integers(0, 29), st.tuples(WIDE, WIDE), st.tuples(WIDE, WIDE))
@settings(deadline=None, max_examples=50)
def test_any_box_of_any_tiling(x, y, sides, tile):
    data = np.arange(1200, dtype="i4").reshape(SHAPE)
    raw = raw_of(fits.CompImageHDU(data, name="X", tile_shape=tile))
    box = Box(x, min(x + sides[0], 40), y, min(y + sides[1], 30))
    assert np.array_equal(image_of(raw, box), data[box.slices])


def test_box_reads_its_rows_alone():
    raw = raw_of(fits.ImageHDU(np.zeros((1000, 100), "f4"), name="X"), fits.ImageHDU(name="Y"))
    file = opened(raw)
    info = file["X"]
    file._read_ranges.read.clear()
    image = file.image(info, Box(10, 20, 500, 503))
    assert file._read_ranges.read == [(info.data_offset + 500 * 400, info.data_offset + 503 * 400)]
    assert image.base is None  # so that it does not keep the strip alive


def test_box_of_a_compressed_image_reads_its_tiles_alone():
    data = RNG.integers(0, 2**30, (1000, 100)).astype("i4")
    file = opened(raw_of(fits.CompImageHDU(data, name="X", compression_type="RICE_1")))
    info = file["X"]
    file._read_ranges.read.clear()
    assert np.array_equal(file.image(info, Box(10, 20, 500, 503)), data[500:503, 10:20])
    assert sum(stop - start for start, stop in file._read_ranges.read) < 3 * 500


@pytest.mark.parametrize("size", [True, False])
def test_hdus_are_those_of_astropy(size):
    table = fits.BinTableHDU.from_columns([fits.Column("A", "PJ()", array=[[1, 2], [3]])], name="T")
    long = fits.Header([(f"KEY{n}", n) for n in range(3000)])
    raw = raw_of(fits.ImageHDU(np.zeros((3, 4)), long, name="X"), table, fits.ImageHDU(name="EMPTY"), fits.ImageHDU())
    with fits.open(io.BytesIO(raw)) as hdus:
        expected = [(hdu.name, *(hdu.fileinfo()[key] for key in ("hdrLoc", "datLoc"))) for hdu in hdus]
    found = opened(raw, size=size).hdus()
    assert [(info.name, info.header_offset, info.data_offset) for info in found] == expected
    assert found[-1].end == len(raw)


def test_header_near_the_start_costs_one_range():
    file = opened(raw_of(fits.ImageHDU(np.zeros((9, 9)), name="X"), fits.ImageHDU(np.zeros((999, 99)), name="Y")))
    assert file["X"].shape == (9, 9)
    assert len(file._read_ranges.read) == 1


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "i8", "f4", "f8"])
def test_large_local_image_is_read_like_a_small_one_or_refused(tmp_path, dtype):
    pixels = RNG.integers(0, 100, (2300, 2001)).astype(dtype)
    path = tmp_path / "x.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(pixels, name="X")]).writeto(path)
    with open_local_fits(path, "x.fits") as file:
        found = file.image(file["X"])
        assert np.array_equal(found, pixels)
        assert found.dtype == pixels.dtype
        assert found.flags.writeable
    os.truncate(path, pixels.nbytes)
    with open_local_fits(path, "x.fits") as file, pytest.raises(FormatError, match=r"x\.fits is truncated in HDU 'X'"):
        file.image(file["X"])


def test_unknown_hdu_is_refused_with_those_there_are():
    with pytest.raises(FormatError, match=r"'x.fits' has no HDU 'Z'; it has \['PRIMARY', 'X'\]"):
        _ = opened(raw_of(fits.ImageHDU(name="X")))["Z"]


NO_FITS = "has b'.*' at byte 0; expected the start of a FITS file"
NO_END = "is truncated: the header at byte 0 has no END card"


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        *((raw, NO_FITS) for raw in (b"", b"PK\x03\x04junk", b"<html>", b"SIMPLE", bytes(9000))),
        *((f"{'SIMPLE  =                    T':{2880 * blocks}}".encode(), NO_END) for blocks in (1, 16, 70)),
        (raw_of() + b"j" * 2880, "has b'jjjjjjjjj' at byte 2880; expected the start of HDU number 1"),
    ],
)
def test_what_is_no_fits_file_is_refused(raw, why):
    with pytest.raises(FormatError, match=f"'x.fits' {why}"):
        opened(raw).hdus()


def test_endless_header_is_given_up():
    def endless(ranges):
        return [b"SIMPLE  =".ljust(stop - start) for start, stop in ranges]

    with pytest.raises(FormatError, match="the header at byte 0 has no END card"):
        FitsFile(endless, None).hdus()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("NAXIS1  =                   40", "NAXIS1  =                   -4", r"HDU 'X' has axes \(-4, 30\)"),
        ("NAXIS1  =                   40", "NAXIS1  =                  4.5", r"HDU 'X' has axes \(4.5, 30\)"),
        ("NAXIS   =                    2", "NAXIS   = 'two     '          ", "HDU 'X' has NAXIS='two'; expected a"),
        ("NAXIS   =                    2", "NAXIS   =                 2000", "HDU 'X' has NAXIS=2000"),
        ("NAXIS   =                    2", "NAXIS   =                    3", r"HDU 'X' has axes \(40, 30, None\)"),
        ("BITPIX  =                   32", "BITPIX  =                   33", "HDU 'X' has BITPIX=33; expected one of"),
        ("BITPIX  =                   32", "BITPIX  =                   xx", "HDU number 1 has a card BITPIX that c"),
        ("PCOUNT  =                    0", "PCOUNT  =                   -1", "HDU 'X' has PCOUNT=-1, GCOUNT=1"),
    ],
)
def test_spoilt_card_is_refused(old, new, message):
    raw = raw_of(fits.ImageHDU(np.zeros(SHAPE, "i4"), name="X"))
    at = raw.index(old.encode(), 2880)
    spoilt = raw[:at] + new.encode() + raw[at + len(new) :]
    with pytest.raises(FormatError, match=message):
        read_all(spoilt)


@pytest.mark.parametrize(
    ("hdu", "box"),
    [
        (fits.ImageHDU(name="X"), None),
        (fits.ImageHDU(np.zeros(5), name="X"), Box(0, 1, 0, 1)),
        (fits.ImageHDU(np.zeros((2, 3, 4)), name="X"), Box(0, 1, 0, 1)),
        (fits.BinTableHDU.from_columns([fits.Column("A", "J", array=[1])], name="X"), None),
    ],
)
def test_what_is_no_image_is_refused(hdu, box):
    with pytest.raises(FormatError, match=r"HDU 'X' has shape .*; expected an image"):
        image_of(raw_of(hdu), box)


def test_empty_compressed_image_is_refused():
    raw = raw_of(fits.CompImageHDU(np.zeros(SHAPE, "i4"), name="X"))
    raw = raw.replace(b"ZNAXIS1 =                   40", b"ZNAXIS1 =                    0")
    with pytest.raises(FormatError, match=r"HDU 'X' is compressed and has shape \(30, 0\); expected pixels"):
        image_of(raw)


def test_image_is_no_table():
    file = opened(raw_of(fits.ImageHDU(np.zeros((2, 2)), name="X")))
    with pytest.raises(FormatError, match="HDU 'X' is not a binary table"):
        file.table(file["X"])


def test_tiles_outside_their_heap_are_refused():
    raw = bytearray(raw_of(fits.CompImageHDU(np.zeros(SHAPE, "i4"), name="X")))
    offset = opened(bytes(raw))["X"].data_offset
    raw[offset + 4 : offset + 8] = (1 << 20).to_bytes(4, "big")
    with pytest.raises(FormatError, match=r"HDU 'X' has tiles at bytes \d+ to \d+, outside its heap"):
        image_of(bytes(raw), Box(0, 1, 0, 1))
    with pytest.raises(FormatError, match="HDU 'X' holds tiles that do not decompress"):
        image_of(bytes(raw))


@pytest.mark.parametrize("compression", ["GZIP_1", "GZIP_2", "HCOMPRESS_1"])
def test_spoilt_tiles_are_refused(compression):
    raw = bytearray(
        raw_of(fits.CompImageHDU(RNG.integers(0, 99, SHAPE).astype("i4"), name="X", compression_type=compression))
    )
    info = opened(bytes(raw))["X"]
    heap = info.data_offset + info.axes[0] * info.axes[1]
    raw[heap : heap + 50] = b"\xff" * 50
    with pytest.raises(FormatError, match="HDU 'X' holds tiles that do not decompress"):
        image_of(bytes(raw))


@pytest.mark.parametrize("compressed", [False, True])
@given(data=st.data())
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_truncated_anywhere_is_an_error_or_whole(compressed, data):
    image = RNG.integers(0, 2**30, SHAPE).astype("i4")
    raw = raw_of((fits.CompImageHDU if compressed else fits.ImageHDU)(image, name="X"), fits.ImageHDU(image, name="Y"))
    length = data.draw(st.integers(0, len(raw) - 1))
    for size in (True, False):
        file = opened(raw[:length], size=size)
        try:
            assert np.array_equal(file.image(file["X"]), image)
        except FormatError:
            continue


@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=4))
@pytest.mark.filterwarnings("ignore")  # astropy's, of the spoilt cards
@settings(deadline=None, max_examples=150)
def test_spoilt_bytes_never_raise_anything_else(at, junk):
    raw = raw_of(fits.ImageHDU(np.zeros((20, 20), "i4"), name="X"))
    at %= len(raw)
    try:
        image_of(raw[:at] + junk + raw[at + len(junk) :])
    except FormatError:
        return


@pytest.mark.parametrize(("size", "number"), [(True, "6000"), (False, "fewer")])
def test_truncation_says_where_and_how_much(size, number):
    file = opened(raw_of(fits.ImageHDU(np.zeros(SHAPE, "i4"), name="X"))[:6000], size=size)
    why = f"'x.fits' is truncated in HDU 'X': it has {number} bytes; expected at least 10560"
    with pytest.raises(FormatError, match=why):
        file.image(file["X"])


@pytest.mark.parametrize("cut", [1, 1000, 4000])
def test_incomplete_file_is_noticed_from_its_headers(cut):
    raw = raw_of(fits.ImageHDU(np.zeros(SHAPE, "i4"), name="X"))
    opened(raw).check_complete()
    why = f"in HDU 'X': it has {len(raw) - cut} bytes; expected at least {len(raw)}; get it again"
    with pytest.raises(FormatError, match=why):
        opened(raw[:-cut]).check_complete()
