"""Tables as VOTable documents: what comes back of them in each serialization, and what is refused by name."""

from __future__ import annotations

import re

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import Angle, SkyCoord
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.time import Time
from astropy.utils.masked import Masked
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn
from votable_documents import SERIALIZATIONS, assert_same, objects, read, written

from spherex_butler.errors import FormatError

NUMBERS = ("bool", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "f2", "f4", "f8", "c8", "c16")
LONG = "A description that is so long that astropy breaks it, at hyphens of well-known-words-joined-by-them, too."
UNICODE = ["é", "中文", "😀 beyond the basic plane", "a\u0301 combined"]
NAMES = ["a b", "a_b", "a-b", "1", "é", "A", "a", "", "<&\"'>", " x "]
UNITS = ["m", "MJy/sr", "erg/(s cm2 Angstrom)", "mag", "mag(AB)", "dex(cm/s2)", "", "%", "3.7 m", "1e-17 W/m2"]
META = {
    "name": "sources",
    "description": LONG,
    "ID": "T1",
    "ucd": "meta.table",
    "string": "é <&\"'>\t\n ",
    "control": "\x00\r",
    "empty": "",
    "true": True,
    "int": -3,
    "big": 1 << 80,
    "float": 1e-300,
    "infinite": -np.inf,
    "complex": 1 - 2j,
    "none": None,
    "list": [1, "a", [2.5, None]],
    "dict": {"nested": {"deep": [True]}, "": 1},
    "wavelength": 1.25 * u.um,
    "count": 3 * u.electron,
    "a key that is no ID": 1,
    "comments": ["one", "two"],
}
COLUMN_META = {
    "ucd": "pos.eq.ra;meta.main",
    "utype": "char.axis",
    "xtype": "point",
    "ID": "ra",
    "width": 7,
    "precision": "F3",
    "ref": "frame",
    "note": {"by": ["me", None, 1.5, True]},
}


def values_of(dtype, shape=()):
    """Six rows of a dtype, its extremes among them."""
    dtype = np.dtype(dtype)
    count = 6 * int(np.prod(shape, dtype=int))
    if dtype.kind in "iu":
        limit = np.iinfo(np.int64).max if dtype == np.uint64 else np.iinfo(dtype).max
        values = np.resize(np.array([np.iinfo(dtype).min, limit, 0, 1], dtype), count)
    elif dtype.kind in "fc":
        values = np.resize(np.array([-0.0, 1.5, np.inf, -np.inf, np.nan, np.finfo(dtype).tiny], dtype), count)
    elif dtype.kind == "b":
        values = np.resize([True, False, False], count)
    else:
        values = np.resize(np.array(["", "a", "x y", "\"'", "<&>", "]]>"], dtype), count)
    return values.reshape(6, *shape).astype(dtype)


def masked(dtype, mask, shape=()):
    return MaskedColumn(np.nan_to_num(values_of(dtype, shape), nan=1.0).astype(dtype), mask=mask)


ROWS_MASKED, ELEMENTS_MASKED = [0, 1, 0, 0, 1, 0], [[0, 1], [1, 1], [0, 0], [0, 0], [1, 0], [0, 0]]
TABLES = {
    "dtypes": Table({dtype: values_of(dtype) for dtype in (*NUMBERS, "u8", "U7", "S5", ">i4", ">f8", ">U3")}),
    **{f"cells {shape}": Table({d: values_of(d, shape) for d in NUMBERS}) for shape in [(1,), (3,), (2, 3)]},
    "masked rows": Table({dtype: masked(dtype, ROWS_MASKED) for dtype in ("bool", "i1", "u1", "u4", "i8", "f4")}),
    "masked elements": Table({d: masked(d, ELEMENTS_MASKED, (2,)) for d in ("i2", "u2", "bool", "f4", "c8")}),
    "nothing masked": Table({"x": MaskedColumn([1, 2]), "s": MaskedColumn(["a", ""])}),
    "variable length": Table(
        {
            "bytes": objects(np.arange(3, dtype="i1"), np.zeros(0, "i1"), np.ones(1, "i1")),
            "floats": objects(np.array([np.nan, 1.0]), np.zeros(0), np.array([-np.inf])),
            "flags": objects(np.array([True, False]), np.zeros(0, bool), np.array([False])),
            "complex": objects(np.array([1j, 2.0]), np.zeros(0, complex), np.array([3 + 4j])),
            "images": objects(np.ones((2, 3), "f4"), np.zeros((0, 3), "f4"), np.ones((1, 3), "f4")),
            "strings": objects("long é 😀", "", "b"),
        }
    ),
    "unicode": Table({text: ["ascii", text, ""] for text in UNICODE}, meta={"description": "😀", "中文": "é"}),
    "names": Table([[number] for number in range(len(NAMES))], names=NAMES),
    "units": Table({unit: Column([1.0, 2.0], unit=u.Unit(unit)) for unit in UNITS}),
    "unknown unit": Table({"x": Column([1.0], unit=u.Unit("furlong / fortnight", parse_strict="silent"))}),
    "meta": Table({"x": [1]}, meta=META),
    "meta that are no attributes": Table({"x": [1]}, meta={"name": 3, "ID": "not an ID", "description": " blanks "}),
    "column meta": Table(
        {
            "x": Column([1.5], description="  two\n\nlines \r with blanks ", format="%.3f", meta=COLUMN_META),
            "y": Column([2.5], description=LONG, meta={"ID": "ra", "ucd": "\x01"}),
        }
    ),
    "no column": Table(meta={"n": 1}),
    "no row": Table({"x": np.zeros(0, "u2"), "s": np.zeros(0, "S3"), "o": np.zeros(0, object)}),
    "quantities": QTable(
        {
            "flux": np.array([1.0, 2.0], "f4") * u.MJy / u.sr,
            "count": u.Quantity([1, 2], u.electron, dtype=int),
            "ratio": [1.0, 2.0] * u.dimensionless_unscaled,
            "magnitude": u.Magnitude([20.0, 21.0], u.ABmag),
            "masked": Masked([1.0, 2.0] * u.um, mask=[True, False]),
            "spectrum": np.ones((2, 3)) * u.Jy,
            "name": ["a", "b"],
        }
    ),
}
ONLY_BINARY2 = {
    "masked strings": Table({"s": MaskedColumn(["", "", "c"], mask=[1, 0, 0])}),
    "masked and nan": Table({"f": MaskedColumn([1.0, np.nan, 3.0], mask=[1, 0, 0])}),
}
ONLY_BINARY = {
    "control characters": Table({"s": ["x\ty\n\rz", "a\0b\x01"], "o": objects("\0", "")}),
    "blanks": Table({"s": [" padded ", "\t"]}),
}


@pytest.mark.parametrize("serialization", SERIALIZATIONS)
@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_table_comes_back(table, serialization):
    assert_same(table, read(written(table, serialization), quantities=isinstance(table, QTable)))


@pytest.mark.parametrize("name", [*ONLY_BINARY2, *ONLY_BINARY])
def test_what_text_cannot_say_comes_back_from_binary_streams(name):
    for serialization in ("binary2", "binary")[: 2 if name in ONLY_BINARY else 1]:
        table = (ONLY_BINARY2 | ONLY_BINARY)[name]
        assert_same(table, read(written(table, serialization)))


def test_elements_of_variable_length_keep_their_dtype():
    got = read(written(TABLES["variable length"]))
    assert [cell.dtype for cell in got["bytes"]] == [np.dtype("i1")] * 3


def test_numpy_scalars_in_meta_come_back_as_python_ones():
    meta = {"a": np.float32(1.5), "b": np.int8(3), "c": np.bool_(True), "d": np.str_("x"), "e": [np.int64(2)]}
    expected = Table({"x": [1]}, meta={"a": 1.5, "b": 3, "c": True, "d": "x", "e": [2]})
    assert_same(expected, read(written(Table(expected, meta=meta))))


def test_the_same_table_makes_the_same_document():
    assert written(TABLES["meta"]) == written(TABLES["meta"])


@st.composite
def tables(draw):
    rows = draw(st.integers(0, 5))
    table = Table()
    for index in range(draw(st.integers(1, 4))):
        dtype = np.dtype(draw(st.sampled_from([*NUMBERS, "U5"])))
        shape = (rows, *draw(st.sampled_from([(), (), (2,), (2, 3)] if dtype.kind != "U" else [()])))
        text = st.text(max_size=5)
        values = draw(stn.arrays(dtype, shape, elements=text if dtype.kind == "U" else None))
        mask = draw(st.none() | stn.arrays(bool, rows))
        if mask is not None and dtype != "f2":  # numpy's fill value, 1e20, is beyond float16
            values = MaskedColumn(values, mask=np.broadcast_to(mask.reshape(-1, *[1] * (len(shape) - 1)), shape))
        table[f"c{index}"] = values
    return table


@settings(max_examples=60, derandomize=True, deadline=None, database=None)
@given(table=tables())
def test_any_table_comes_back(table):
    assert_same(table, read(written(table)))


# What is refused.

USED = MaskedColumn(np.arange(258).reshape(-1, 2) % 256, mask=[[1, 0]] + [[0, 0]] * 128, dtype="u1")
COLUMNS_REFUSED = {
    "uint64 beyond int64": (np.array([1, 1 << 63], np.uint64), r"has dtype 'uint64' and the value 9223372"),
    "longdouble": (np.ones(1, "g"), r"has dtype 'float128', which a VOTable cannot"),
    "datetime": (np.zeros(1, "M8[s]"), r"has dtype 'datetime64\[s\]', which a VOTable"),
    "structured": (np.zeros(1, "i4,f4"), r"has dtype 'void64', which a VOTable cannot"),
    "time": (Time([1.0], format="mjd"), r"is a Time, .* or store the table as HDF5Table"),
    "angle": (Angle([1], "deg"), r"is a Angle, .* into plain columns or quantities"),
    "sky": (SkyCoord([1], [2], unit="deg"), r"is a SkyCoord, .* split it into plain"),
    "objects": (objects({1: 2}), r"has dtype object and holds \{1: 2\} \(dict\)"),
    "object array": (np.full((1, 2), None), r"has dtype object and holds None \(NoneType"),
    "mixed arrays": (objects(np.zeros(1), np.zeros(1, int)), r"holds arrays of .*float64.*int64.* a row, of one dtype"),
    "empty arrays": (objects(np.zeros((2, 0))), r"holds arrays of \[\('float64', \(0,\)\)\] .* shape with elements"),
    "masked arrays": (objects(np.ma.MaskedArray([1, 2], mask=[0, 1])), r"holds arrays of .*, some masked; expected"),
    "huge cells": (np.zeros((0, 1 << 13, 1 << 12)), r"has cells of 33554432 elements; expected 1 to 16777216"),
    "empty cells": (np.zeros((2, 0)), r"has cells of 0 elements; expected 1 to"),
    "bytes": ([b"\xff"], r"holds a string that is not valid text: 'utf-8' codec"),
    "surrogate": (["\ud800"], r"holds a string that is not valid text: 'utf-16' codec"),
    "string arrays": ([["a", "b"]], r"holds arrays of strings, which astropy cannot read"),
    "unit": (Column([1.0], unit=u.def_unit("frobnicate")), r"has the unit Unit\(\"frobnicate\"\), which cannot be"),
    "masked and nan": (MaskedColumn([[1.0, np.nan]], mask=[[1, 0]]), r"has masked values and NaN, which only"),
    "every value used": (USED, r"has masked values and uses every value of 'uint8'"),
}
REFUSED = {
    **{name: (QTable({"bad": column}), rf"Column 'bad' {said}") for name, (column, said) in COLUMNS_REFUSED.items()},
    "name": (Table({"bad\x01": [1]}), r"Column 'bad\\x01' has a name with control characters, .* rename it"),
    "column meta": (
        Table({"x": Column([1], meta={"bad": object})}),
        r"The meta of Column 'x'\['bad'\] is <class 'object'> \(type\), which a VOTable cannot keep",
    ),
    "column format": (Table({"x": Column([1], format=len)}), r"The format of Column 'x' is <built-in function len>"),
    "meta key": (Table({"x": [1]}, meta={3: 1}), r"The meta key 3 cannot be the name of a VOTable PARAM"),
}
META_REFUSED = {
    "time": (Time(1, format="mjd"), r" is <Time .* cannot keep"),
    "nested": ({"b": [(1, 2)]}, r"\['b'\]\[0\] is \(1, 2\) \(tuple\)"),
    "array": (np.zeros(2, "u2"), r" is array\(\[0, 0\], .* expected strings, numbers, bools, None, and lists"),
    "quantity": ([1, 2] * u.m, r" is <Quantity \[1., 2.\] m>"),
    "unit": (1 * u.def_unit("frobnicate"), r" has the unit Unit\(\"frobnicate\"\)"),
}
REFUSED |= {
    f"meta {name}": (Table({"x": [1]}, meta={"bad": value}), rf"The meta key 'bad'{said}")
    for name, (value, said) in META_REFUSED.items()
}


@pytest.mark.parametrize(("table", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_kept_is_refused_by_name(table, message):
    with pytest.raises(FormatError) as error:
        written(table)
    assert re.match(message, str(error.value), re.DOTALL)


@pytest.mark.parametrize(
    ("serialization", "table", "message"),
    [
        ("binary", ONLY_BINARY2["masked strings"], "Column 's' has masked strings .*, which only 'binary2' can tell"),
        ("tabledata", ONLY_BINARY2["masked strings"], "Column 's' has masked strings .*, which only 'binary2' can"),
        ("binary", ONLY_BINARY2["masked and nan"], "Column 'f' has masked values and NaN, which only"),
        ("tabledata", ONLY_BINARY["control characters"], "Column 's' holds strings with control characters"),
        ("tabledata", ONLY_BINARY["blanks"], "Column 's' holds strings with .* blanks at an end"),
    ],
)
def test_what_only_other_serializations_keep_is_refused(serialization, table, message):
    with pytest.raises(FormatError, match=message):
        written(table, serialization)
