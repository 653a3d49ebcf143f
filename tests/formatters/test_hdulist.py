"""HDUList as FITS: every HDU as it was given, or only those asked for, usable without the file."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from lsst.daf.butler import DatasetProvenance
from refusals import messages, refused

from spherex_butler.errors import FormatError

FORMATTER = "spherex_butler.formatters.hdulist.HDUListFormatter"


def table() -> fits.BinTableHDU:
    columns = [
        fits.Column("NAME", "5A", array=["a", "bcd", ""]),
        fits.Column("FLUX", "3E", array=np.arange(9.0).reshape(3, 3), unit="Jy"),
        fits.Column("TILES", "PJ(2)", array=np.array([[1], [2, 3], []], dtype=object)),
        fits.Column("COUNT", "J", array=np.array([1, 2, 2**32 - 1], dtype="uint32"), bzero=2**31),
    ]
    return fits.BinTableHDU.from_columns(columns, name="CATALOG")


def every_kind() -> fits.HDUList:
    """Return HDUs of every kind there is."""
    rng = np.random.default_rng(2)
    primary = fits.PrimaryHDU(rng.integers(0, 2**16, size=(11, 7), dtype="uint16"))
    primary.header["OBJECT"] = ("M31", "what was seen")
    primary.header["HISTORY"] = "made by a test"
    first = fits.ImageHDU(rng.normal(size=(13, 17)).astype("float32"), name="SCI", ver=1)
    first.header["HIERARCH L2 N_SOURCE"] = (4711, "found")
    first.header["COMMENT"] = "first"
    second = fits.ImageHDU(rng.integers(-9, 9, size=(20, 30), dtype="int64"), name="SCI", ver=2)
    packed = fits.CompImageHDU(rng.integers(0, 99, size=(20, 30), dtype="int32"), name="PACKED")
    ascii_table = fits.TableHDU.from_columns(
        [fits.Column("X", "I5", array=[1, 22]), fits.Column("Y", "A3", array=["a", "b"])]
    )
    return fits.HDUList([primary, first, second, packed, table(), ascii_table, fits.ImageHDU(name="EMPTY")])


def cards(header: fits.Header) -> list[tuple[str, Any, str]]:
    """Return a header's cards without those that say which dataset it is."""
    return [(c.keyword, c.value, c.comment) for c in header.cards if not c.keyword.startswith("LSST BUTLER")]


def assert_same_hdus(got: fits.HDUList, expected: fits.HDUList) -> None:
    assert [hdu.name for hdu in got] == [hdu.name for hdu in expected]
    for a, b in zip(got, expected, strict=True):
        assert type(a) is type(b)
        if not isinstance(a, fits.CompImageHDU):
            assert without_heap_size(a) == without_heap_size(b)
        assert_same_data(a.data, b.data)


def without_heap_size(hdu: Any) -> list[tuple[str, Any, str]]:
    """Return a header's cards, but for PCOUNT of a table, which is known only once it is written."""
    return [card for card in cards(hdu.header) if hdu.is_image or card[0] != "PCOUNT"]


def assert_same_data(got: Any, expected: Any) -> None:
    if expected is None or expected.dtype.names is None:
        np.testing.assert_array_equal(got, expected)
        assert expected is None or got.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
        return
    assert got.columns.names == expected.columns.names
    for name in got.columns.names:
        for a, b in zip(got[name], expected[name], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.fixture
def recipe_store(configured_store: Any) -> Any:
    """Return a function that makes a repository which writes HDULists by a recipe."""
    return lambda name: configured_store({"HDUList": {"formatter": FORMATTER, "parameters": {"recipe": name}}})


# Round trips.


def test_every_hdu_survives(store):
    assert_same_hdus(store.round_trip(every_kind(), "HDUList"), every_kind())


def test_put_leaves_the_hdus_as_they_were(store):
    hdus = every_kind()
    before = [copy.deepcopy(cards(hdu.header)) for hdu in hdus]
    store.put(hdus, "HDUList")
    assert [cards(hdu.header) for hdu in hdus] == before
    assert not any("LSST BUTLER ID" in hdu.header for hdu in hdus)
    assert_same_hdus(hdus, every_kind())


def test_hdus_are_usable_and_writable_without_the_file(store, tmp_path):
    ref = store.put(every_kind(), "HDUList")
    got = store.get(ref)
    store.path(ref).unlink()
    assert not Path(got.filename()).exists()
    got["SCI"].data += 1
    got["CATALOG"].data["FLUX"] = 0
    got.writeto(tmp_path / "again.fits")
    np.testing.assert_array_equal(fits.getdata(tmp_path / "again.fits", "PACKED"), every_kind()["PACKED"].data)


def test_scaled_image_of_a_file_stays_as_stored(store, tmp_path):
    path = tmp_path / "scaled.fits"
    hdu = fits.ImageHDU(np.arange(12, dtype="int16").reshape(3, 4), name="SCALED")
    hdu.scale("int16", bscale=0.5, bzero=7)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    with fits.open(path) as hdus:
        got = store.round_trip(hdus, "HDUList")
    assert (got["SCALED"].header["BITPIX"], got["SCALED"].header["BSCALE"]) == (16, 0.5)
    np.testing.assert_array_equal(got["SCALED"].data, fits.getdata(path, "SCALED"))


def test_compressed_image_of_a_file_is_copied_byte_by_byte(store, tmp_path):
    path = tmp_path / "lossy.fits"
    image = np.random.default_rng(1).normal(size=(50, 50)).astype("float32")
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(image, name="LOSSY", quantize_level=4)]).writeto(path)
    with fits.open(path) as hdus:
        ref = store.put(hdus, "HDUList")
    np.testing.assert_array_equal(store.get(ref)["LOSSY"].data, fits.getdata(path, "LOSSY"))


def test_header_changed_by_the_caller_is_written(store, tmp_path):
    path = tmp_path / "given.fits"
    every_kind().writeto(path)
    with fits.open(path) as hdus:
        for hdu in hdus:
            hdu.header["CHANGED"] = True
        got = store.round_trip(hdus, "HDUList")
    assert all(hdu.header["CHANGED"] is True for hdu in got)
    np.testing.assert_array_equal(got["PACKED"].data, every_kind()["PACKED"].data)


@pytest.mark.parametrize("memmap", [True, False])
def test_hdus_of_an_open_file_survive(store, tmp_path, memmap):
    path = tmp_path / "given.fits"
    every_kind().writeto(path)
    with fits.open(path, memmap=memmap) as hdus:
        got = store.round_trip(hdus, "HDUList")
    assert_same_hdus(got, every_kind())


def test_hdus_read_before_their_file_was_closed_survive(store, tmp_path):
    """Without the ASCII table: astropy cannot write one whose text was read from a file."""
    path, expected = tmp_path / "given.fits", every_kind()
    del expected[5]
    expected.writeto(path)
    with fits.open(path, memmap=False) as hdus:
        assert [hdu.data is None for hdu in hdus] == [False] * 5 + [True]
    assert_same_hdus(store.round_trip(hdus, "HDUList"), expected)


@pytest.mark.parametrize("memmap", [None, False])
def test_hdus_not_parsed_before_their_file_was_closed_are_refused(store, tmp_path, memmap):
    path = tmp_path / "given.fits"
    every_kind().writeto(path)
    with fits.open(path, memmap=memmap) as hdus:
        assert hdus[0].data is not None
    assert "The HDUList has 1 HDUs but its file was closed before all were parsed" in refused("HDUList", store, hdus)


@pytest.mark.parametrize(("memmap", "read"), [(None, False), (False, False), (None, True)])
def test_data_not_in_memory_when_their_file_is_closed_are_refused(store, tmp_path, memmap, read):
    path = tmp_path / "given.fits"
    image = fits.ImageHDU(np.ones((2, 2)), name="SCI")
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(path)
    with fits.open(path, memmap=memmap) as hdus:
        assert len(hdus) == 2
        assert not read or hdus[1].data is not None
    assert "The data of HDU 1 ('SCI') are not in memory and its file is closed" in refused("HDUList", store, hdus)


def test_checksums_stay_valid_where_there_were_some(store, tmp_path):
    path = tmp_path / "given.fits"
    every_kind().writeto(path, checksum=True)
    with fits.open(path) as hdus:
        ref = store.put(hdus, "HDUList")
    with fits.open(store.path(ref), checksum=True, disable_image_compression=True) as hdus:
        assert all("CHECKSUM" in hdu.header and "DATASUM" in hdu.header for hdu in hdus)
        assert len(hdus) == 7


def test_datasum_alone_is_renewed(store):
    hdus = every_kind()
    hdus["SCI"].header["DATASUM"] = "1"
    ref = store.put(hdus, "HDUList")
    with fits.open(store.path(ref), checksum=True) as got:
        assert got["SCI"].header["DATASUM"] != "1"
        assert "CHECKSUM" not in got["SCI"].header
        assert "DATASUM" not in got[0].header


def test_card_that_breaks_the_standard_is_repaired(store):
    hdus = every_kind()
    hdus["SCI"].header.append(fits.Card.fromstring("EXPONENT= 1.5d3"))
    got = store.round_trip(hdus, "HDUList")
    assert got["SCI"].header["EXPONENT"] == 1500.0
    assert got["SCI"].header.cards["EXPONENT"].image.startswith("EXPONENT=                1.5D3")


# Provenance.


def test_primary_header_says_which_dataset_it_is(store):
    ref = store.put(every_kind(), "HDUList")
    header = store.get(ref)[0].header
    provenance, found = DatasetProvenance.from_flat_dict(header, store.butler)
    assert found == ref
    assert not provenance.inputs


def test_inputs_are_written_and_do_not_pile_up(store):
    first = store.put(every_kind(), "HDUList")
    provenance = DatasetProvenance()
    provenance.add_input(first)
    ref = store.put(store.get(first), "HDUList")
    store.butler.pruneDatasets([ref], disassociate=True, unstore=True, purge=True)
    ref = store.butler.put(store.get(first), ref.datasetType.name, provenance=provenance)
    header = store.get(ref)[0].header
    read, found = DatasetProvenance.from_flat_dict(header, store.butler)
    assert found.id == ref.id
    assert [given.id for given in read.inputs] == [first.id]
    assert list(header).count("LSST BUTLER ID") == 1


# Some of the HDUs.


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ("CATALOG", [4]),
        ("catalog", [4]),
        (2, [2]),
        (-3, [4]),
        (np.int64(5), [5]),
        (("SCI", 2), [2]),
        ("SCI", [1, 2]),
        (["PACKED", "SCI"], [1, 2, 3]),
        ([4, ("SCI", 1)], [1, 4]),
        (["PRIMARY", 5], [5]),
        ([0], []),
        ([], []),
    ],
)
def test_hdus_asked_for_are_returned_after_the_primary(store, wanted, numbers):
    got = store.get(store.put(every_kind(), "HDUList"), hdus=wanted)
    expected = every_kind()
    got.verify("exception")
    assert [hdu.name for hdu in got] == ["PRIMARY", *(expected[n].name for n in numbers)]
    for hdu, number in zip(got[1:], numbers, strict=True):
        assert_same_data(hdu.data, expected[number].data)
        assert hdu.ver == expected[number].ver


def test_primary_header_comes_along_without_its_data(store):
    ref = store.put(every_kind(), "HDUList")
    primary = store.get(ref, hdus="CATALOG")[0]
    assert primary.data is None
    assert (primary.header["NAXIS"], primary.header["OBJECT"]) == (0, "M31")
    assert not {"NAXIS1", "BZERO", "BSCALE"} & set(primary.header)
    np.testing.assert_array_equal(store.get(ref, hdus=["PRIMARY"])[0].data, every_kind()[0].data)


@pytest.mark.parametrize("wanted", ["NOSUCH", 7, -8, ("SCI", 3), ["SCI", "NOSUCH"]])
def test_unknown_hdu_is_refused_with_those_there_are(store, wanted):
    ref = store.put(every_kind(), "HDUList")
    with pytest.raises(Exception) as info:  # noqa: PT011
        store.get(ref, hdus=wanted)
    missing = wanted[1] if isinstance(wanted, list) else wanted
    assert f"There is no HDU {missing!r}; the file has 0 'PRIMARY', 1 'SCI', version 1, 2 'SCI'" in messages(info)


@pytest.mark.parametrize("wanted", [1.5, [("SCI", "1")], [None]])
def test_what_names_no_hdu_is_refused(store, wanted):
    ref = store.put(every_kind(), "HDUList")
    with pytest.raises(Exception) as info:  # noqa: PT011
        store.get(ref, hdus=wanted)
    assert "expected a name, a number or (name, version)" in messages(info)


def test_only_the_bytes_of_the_subset_are_read(store):
    ref = store.put(every_kind(), "HDUList")
    path = store.path(ref)
    spans = data_spans(path)
    spoil(path, {name: span for name, span in spans.items() if name != "CATALOG"})
    assert_same_data(store.get(ref, hdus="CATALOG")["CATALOG"].data, table().data)


def data_spans(path: Path) -> dict[str, tuple[int, int]]:
    with fits.open(path, disable_image_compression=True) as hdus:
        return {
            f"{h.name}{h.ver if n else ''}".removesuffix("1"): (h.fileinfo()["datLoc"], h.fileinfo()["datSpan"])
            for n, h in enumerate(hdus)
        }


def spoil(path: Path, spans: dict[str, tuple[int, int]]) -> None:
    content = bytearray(path.read_bytes())
    for start, length in spans.values():
        content[start : start + length] = b"\xa5" * length
    path.write_bytes(content)


# Headers.


def test_headers_are_read_by_name_without_data(store):
    ref = store.put(every_kind(), "HDUList")
    spoil(store.path(ref), data_spans(store.path(ref)))
    headers = store.get(ref, "headers")
    assert list(headers) == ["PRIMARY", "SCI", "SCI,2", "PACKED", "CATALOG", 5, "EMPTY"]
    assert cards(headers["SCI"]) == cards(every_kind()["SCI"].header)
    assert headers["PACKED"]["NAXIS1"] == 30
    assert "ZIMAGE" not in headers["PACKED"]


def test_headers_of_a_subset(store):
    ref = store.put(every_kind(), "HDUList")
    assert list(store.get(ref, "headers", hdus=["CATALOG", ("SCI", 2)])) == ["SCI", "CATALOG"]


def test_same_name_and_version_again_goes_by_number(store):
    hdus = fits.HDUList([fits.PrimaryHDU(), *(fits.ImageHDU(np.ones((2, 2)), name="A") for _ in range(3))])
    assert list(store.get(store.put(hdus, "HDUList"), "headers")) == ["PRIMARY", "A", "A,1", 3]


# Compression.


@pytest.mark.parametrize("recipe", ["gzip_2", "rice_1"])
def test_plain_images_are_compressed_without_loss(recipe_store, recipe):
    store, expected = recipe_store(recipe), every_kind()
    got = store.round_trip(expected, "HDUList")
    assert [type(hdu) for hdu in got] == [
        fits.PrimaryHDU,
        *[fits.CompImageHDU] * 3,
        fits.BinTableHDU,
        fits.TableHDU,
        fits.ImageHDU,
    ]
    for a, b in zip(got, expected, strict=True):
        assert_same_data(a.data, b.data)
    assert cards(got["SCI"].header) == cards(expected["SCI"].header)


def awkward_header() -> fits.Header:
    text = (
        "OBJECT  = 'M31     '           / an object\n"
        "COMMENT one\n"
        "\n"
        "HIERARCH REFCAT.VERSION = 'v1' / dotted\n"
        "COMMENT two\n"
        "EXTNAME = 'SCI     '           / its own comment\n"
        "HISTORY [CALIB] dark 5a5f\n"
        "NUMBER  = 1\n"
        "NUMBER  = 2\n"
        "COMMENT three"
    )
    header = fits.Header.fromstring(text, sep="\n")
    header["LONG"] = ("long " * 40, "of a long string")
    return header


@pytest.mark.parametrize(
    ("dtype", "algorithm"),
    [("uint16", "RICE_1"), ("uint32", "RICE_1"), ("int8", "RICE_1"), ("uint64", "GZIP_2"), ("float64", "GZIP_2")],
)
def test_header_of_a_compressed_image_comes_back_card_by_card(recipe_store, dtype, algorithm):
    store = recipe_store("rice_1")
    image = (np.arange(600).reshape(20, 30) % 100).astype(dtype)
    hdu = fits.ImageHDU(image, awkward_header())
    got = store.round_trip(fits.HDUList([fits.PrimaryHDU(), hdu]), "HDUList")[1]
    structure = {"XTENSION", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "PCOUNT", "GCOUNT", "BSCALE", "BZERO"}
    assert [c for c in cards(got.header) if c[0] not in structure] == cards(awkward_header())
    assert isinstance(got, fits.CompImageHDU)
    assert got.compression_type == algorithm
    assert_same_data(got.data, image)


@pytest.mark.parametrize("keyword", ["ZBLANK", "TTYPE1", "BLANK"])
def test_image_whose_cards_compression_needs_itself_stays_plain(recipe_store, keyword):
    hdu = fits.ImageHDU(np.arange(600).reshape(20, 30), fits.Header({keyword: 7, "OBJECT": "M31"}), name="SCI")
    if keyword == "BLANK":
        hdu.header["BLANK"] = 7
    got = recipe_store("gzip_2").round_trip(fits.HDUList([fits.PrimaryHDU(), hdu]), "HDUList")[1]
    assert type(got) is fits.ImageHDU
    assert cards(got.header) == cards(hdu.header)


def test_image_without_pixels_stays_plain(recipe_store):
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.zeros((0, 5)), name="NONE")])
    assert recipe_store("gzip_2").round_trip(hdus, "HDUList")["NONE"].shape == (0, 5)


def test_unknown_recipe_is_refused(recipe_store):
    assert "has no write recipe 'best'; known ones are ['gzip_2', 'none', 'rice_1']" in refused(
        "HDUList", recipe_store("best"), every_kind()
    )


# What is refused.


def test_empty_list_is_refused(store):
    assert "The HDUList is empty; expected at least a PrimaryHDU" in refused("HDUList", store, fits.HDUList())


def test_list_without_primary_is_refused(store):
    hdus = fits.HDUList([fits.ImageHDU(np.ones((2, 2)), name="SCI")])
    assert "HDU 0 is ImageHDU 'SCI'; expected a PrimaryHDU: insert one before it" in refused("HDUList", store, hdus)


def test_second_primary_is_refused(store):
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.PrimaryHDU(np.ones((2, 2)))])
    assert "element 1 is not an extension HDU" in refused("HDUList", store, hdus)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "expected the start of a FITS file"),
        (b"not FITS at all" * 500, "expected the start of a FITS file"),
        (b"SIMPLE  =                    T".ljust(1000), "has no END card"),
    ],
)
def test_file_that_is_not_fits_is_refused(store, content, why, tmp_path):
    refused_read(store, tmp_path / "other.fits", content, why)


@pytest.mark.parametrize("component", [None, "headers"])
def test_truncated_file_is_refused_by_hdu(store, tmp_path, component):
    path = store.path(store.put(fits.HDUList([fits.PrimaryHDU(), table()]), "HDUList"))
    refused_read(store, tmp_path / "cut.fits", path.read_bytes()[:-2860], "truncated in HDU 'CATALOG'", component)


def refused_read(store: Any, path: Path, content: bytes, why: str, component: str | None = None) -> None:
    """Check why a file cannot be read, by the formatter alone: Butler would stop at the file's size."""
    path.write_bytes(content)
    ref = store.put(every_kind(), "HDUList")
    formatter = store.butler._datastore._prepare_for_direct_get(ref, {})[0].formatter
    with pytest.raises(FormatError) as info:
        formatter.read_from_local_file(str(path), component)
    assert why in messages(info)


def test_any_selection_keeps_the_order_of_the_file(store):
    ref = store.put(every_kind(), "HDUList")
    for pair in itertools.permutations(range(1, 7), 2):
        got = store.get(ref, hdus=list(pair))
        assert [hdu.name for hdu in got[1:]] == [every_kind()[n].name for n in sorted(pair)]
