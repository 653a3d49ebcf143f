"""Rice-compressed rows: as astropy decompresses them, and never beyond memory of ours."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pytest
from astropy.io import fits
from astropy.io.fits.hdu.compressed._codecs import Rice1
from fits_samples import opened, written

from spherex_butler.errors import FormatError
from spherex_butler.formats.fits import rice
from spherex_butler.formats.fits.boxes import Box
from spherex_butler.formats.fits.rice import Rice
from spherex_butler.formats.fits.tile_reading import _decompressed

HEIGHT, WIDTH = 23, 70
BOX = Box(3, 60, 4, 19)


def pixels(dtype: str, step: int) -> np.ndarray:
    """Return pixels whose differences are of about ``step``, 0 being the extremes of the type."""
    rng = np.random.default_rng(step)
    limits = np.iinfo(dtype)
    if step == 0:
        return rng.integers(limits.min, limits.max, (HEIGHT, WIDTH), dtype=dtype, endpoint=True)
    values = rng.integers(0, step, (HEIGHT, WIDTH), dtype=dtype)
    values[3] = 7
    values[5, 20:] = 0
    return values


def compressed(data: np.ndarray, tile_rows: int = 1, **cards: object) -> bytes:
    """Return a file with a compressed image, blocks being of 32 pixels or as ``BLOCKSIZE`` says."""
    hdu = fits.CompImageHDU(data, name="X", compression_type="RICE_1", tile_shape=(tile_rows, WIDTH))
    raw = written([fits.PrimaryHDU(), hdu])
    for keyword, value in cards.items():
        at = raw.index(f"{keyword:8}= ".encode())
        raw = raw[:at] + str(fits.Card(keyword, value)).encode() + raw[at + 80 :]
    return raw


def in_blocks_of_16(data: np.ndarray) -> bytes:
    """Return a file in blocks of 16 pixels, as astropy itself makes blocks of 32 only."""
    bits = 8 * data.dtype.itemsize
    encoder = Rice1(blocksize=16, bytepix=bits // 8, tilesize=WIDTH)
    tiles = np.array([np.frombuffer(encoder.encode(row), "u1") for row in data], object)
    hdu = fits.BinTableHDU.from_columns([fits.Column("COMPRESSED_DATA", "1PB()", array=tiles)], name="X")
    hdu.header.update(ZIMAGE=True, ZCMPTYPE="RICE_1", ZBITPIX=bits, ZNAXIS=2, ZNAXIS1=WIDTH, ZNAXIS2=HEIGHT)
    hdu.header.update(ZTILE1=WIDTH, ZTILE2=1, ZNAME1="BLOCKSIZE", ZVAL1=16, ZNAME2="BYTEPIX", ZVAL2=bits // 8)
    return written([fits.PrimaryHDU(), hdu])


def by_astropy(raw: bytes) -> np.ndarray:
    info = opened(raw)["X"]
    return _decompressed(info, fits.BinTableHDU.fromstring(raw[slice(*info.span)]))


def assert_same(raw: bytes, expected: np.ndarray) -> None:
    file = opened(raw)
    assert Rice.of(file["X"]) is not None
    for box, part in ((None, expected), (BOX, expected[BOX.slices])):
        found = file.image(file["X"], box)
        assert (found.dtype, found.flags.writeable, found.flags.c_contiguous) == (expected.dtype, True, True)
        np.testing.assert_array_equal(found, part)


@pytest.mark.parametrize("tile_rows", [1, 5, HEIGHT])
@pytest.mark.parametrize("step", [0, 2, 100])
@pytest.mark.parametrize("dtype", ["u1", "i2", "i4"])
def test_pixels_are_those_of_astropy(dtype, step, tile_rows):
    data = pixels(dtype, step)
    raw = compressed(data, tile_rows)
    assert_same(raw, by_astropy(raw))
    assert_same(raw, data)


@pytest.mark.parametrize("step", [0, 2, 100])
@pytest.mark.parametrize("dtype", ["i2", "i4"])
def test_blocks_of_16_are_those_of_astropy(dtype, step):
    data = pixels(dtype, step)
    raw = in_blocks_of_16(data)
    assert_same(raw, by_astropy(raw))
    assert_same(raw, data)


@pytest.mark.parametrize(
    "data",
    [
        pixels("u2", 0),
        pixels("i1", 0),
        np.random.default_rng(0).normal(size=(HEIGHT, WIDTH)).astype("f4"),
    ],
    ids=["unsigned", "signed byte", "quantized"],
)
def test_scaled_pixels_are_left_to_astropy(data):
    file = opened(compressed(data))
    assert Rice.of(file["X"]) is None


@pytest.mark.parametrize(
    "cards",
    [
        {"ZTILE1": 35, "ZTILE2": 2},
        {"ZVAL1": 0},
        {"ZVAL1": 7},
        {"ZVAL1": 32.0},
        {"ZVAL2": 2},
        {"TFORM1": "1QB(9)"},
        {"TFORM1": "1PI(9)"},
        {"ZCMPTYPE": "GZIP_1"},
        {"ZBITPIX": -32},
    ],
    ids=str,
)
def test_other_tiles_are_left_to_astropy(cards):
    assert Rice.of(opened(compressed(pixels("i4", 100), **cards))["X"]) is None


def test_without_the_decoder_astropy_decompresses(monkeypatch):
    monkeypatch.setattr(rice, "_decoder", None)
    data = pixels("i4", 100)
    file = opened(compressed(data))
    assert Rice.of(file["X"]) is None
    np.testing.assert_array_equal(file.image(file["X"]), data)


def changed_tile(data: np.ndarray, length: int | None, pointer: int | None = None) -> bytes:
    """Return a file whose tile 4 has another length or place."""
    raw = bytearray(compressed(data))
    at = opened(bytes(raw))["X"].data_offset + 4 * 8
    for offset, value in ((0, length), (4, pointer)):
        if value is not None:
            raw[at + offset : at + offset + 4] = value.to_bytes(4, "big", signed=True)
    return bytes(raw)


@pytest.mark.parametrize("box", [None, BOX])
@pytest.mark.parametrize("length", [5, 9, 40])
def test_a_tile_that_ends_too_early_is_refused(length, box):
    file = opened(changed_tile(pixels("i4", 100), length))
    with pytest.raises(FormatError, match=r"HDU 'X' holds tiles that do not decompress: CfitsioException\(.*end of"):
        file.image(file["X"], box)


@pytest.mark.parametrize(("length", "pointer"), [(None, 1 << 20), (None, -1), (-1, None), (1 << 30, None)])
def test_a_tile_outside_the_heap_is_refused(length, pointer):
    file = opened(changed_tile(pixels("i4", 100), length, pointer))
    with pytest.raises(FormatError, match="HDU 'X' holds tiles that do not decompress"):
        file.image(file["X"])


def test_changed_bytes_give_what_astropy_gives():
    rng = np.random.default_rng(8)
    whole = compressed(pixels("i4", 100))
    info = opened(whole)["X"]
    start, stop = info.data_offset + 8 * HEIGHT, info.span[1]
    outcomes = set()
    for _ in range(300):
        raw = bytearray(whole)
        raw[rng.integers(start, stop)] ^= 1 << rng.integers(8)
        file = opened(bytes(raw))
        try:
            expected = by_astropy(bytes(raw))
        except FormatError:
            with pytest.raises(FormatError, match="HDU 'X' holds tiles that do not decompress"):
                file.image(file["X"])
            outcomes.add("refused")
        else:
            np.testing.assert_array_equal(file.image(file["X"]), expected)
            outcomes.add("read")
    assert outcomes == {"refused", "read"}


def test_damage_never_leads_outside_memory():
    """The heap's guard ends at a page that nobody may read: what goes past it kills the process."""
    script = textwrap.dedent(
        """
        import ctypes, mmap
        import numpy as np
        from astropy.io.fits.hdu.compressed._codecs import Rice1
        from spherex_butler.formats.fits.rice import _GUARD, _SHORTEST, _decoder

        size = 1 << 16
        memory = mmap.mmap(-1, size + mmap.PAGESIZE)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(address + size), mmap.PAGESIZE, 0) == 0
        rng = np.random.default_rng(5)
        refused = 0
        for number in range(20000):
            dtype, block = ("i2", "i4")[number % 2], (16, 32)[number // 2 % 2]
            pixels = rng.integers(0, (2, 100, 30000)[number % 3], 300).astype(dtype)
            encoder = Rice1(blocksize=block, bytepix=pixels.itemsize, tilesize=300)
            tile = np.frombuffer(encoder.encode(pixels), "u1").copy()
            at = int(rng.integers(_SHORTEST, len(tile)))
            match number % 4:
                case 0: tile = tile[:at]
                case 1: tile[at:] = 0
                case 2: tile[at:] = rng.integers(0, 256, len(tile) - at)
                case 3: tile[:] = rng.integers(0, 256, len(tile))
            content = tile.tobytes() + _GUARD
            memory[size - len(content) : size] = content
            held = np.frombuffer(memory, "u1", len(tile), size - len(content))
            try:
                _decoder(held, block, pixels.itemsize, 300)
            except Exception as error:
                assert type(error).__name__ == 'CfitsioException', error
                refused += 1
        assert refused > 1000, refused
        """
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=100)
