"""What a VOTable cannot keep is refused, by the name of the column or meta key."""

from __future__ import annotations

import re

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import Angle, SkyCoord
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.time import Time

from spherex_butler.errors import FormatError

FORMATTER = "spherex_butler.formatters.votable.VOTableFormatter"


def objects(*values):
    column = np.empty(len(values), object)
    column[:] = values
    return column


def uint64_too_big():
    return np.array([1, 1 << 63], np.uint64)


REFUSED = {
    "uint64 beyond int64": (Table({"bad": uint64_too_big()}), r"Column 'bad' has dtype 'uint64' and the value 9223372"),
    "longdouble": (Table({"bad": np.ones(1, "g")}), r"Column 'bad' has dtype 'float128', which a VOTable cannot"),
    "datetime": (Table({"bad": np.zeros(1, "M8[s]")}), r"Column 'bad' has dtype 'datetime64\[s\]', which a VOTable"),
    "structured": (Table({"bad": np.zeros(1, "i4,f4")}), r"Column 'bad' has dtype 'void64', which a VOTable cannot"),
    "time": (Table({"bad": Time([1.0], format="mjd")}), r"Column 'bad' is a Time, .* or store the table as HDF5Table"),
    "angle": (QTable({"bad": Angle([1], "deg")}), r"Column 'bad' is a Angle, .* into plain columns or quantities"),
    "sky": (Table({"bad": SkyCoord([1], [2], unit="deg")}), r"Column 'bad' is a SkyCoord, .* split it into plain"),
    "objects": (Table({"bad": objects({1: 2})}), r"Column 'bad' has dtype object and holds \{1: 2\} \(dict\)"),
    "object array": (Table({"bad": np.full((1, 2), None)}), r"Column 'bad' has dtype object and holds None \(NoneType"),
    "mixed arrays": (
        Table({"bad": objects(np.zeros(1), np.zeros(1, int))}),
        r"Column 'bad' holds arrays of \[\('float64', \(\)\), \('int64', \(\)\)\] .* one array a row, of one dtype",
    ),
    "empty arrays": (
        Table({"bad": objects(np.zeros((2, 0)))}),
        r"Column 'bad' holds arrays of \[\('float64', \(0,\)\)\] .* one inner shape with elements",
    ),
    "masked arrays": (
        Table({"bad": objects(np.ma.MaskedArray([1, 2], mask=[0, 1]))}),
        r"Column 'bad' holds arrays of .*, some masked; expected .* none masked; convert it, or store",
    ),
    "huge": (Table({"bad": np.zeros((0, 1 << 13, 1 << 12))}), r"Column 'bad' has cells of 33554432 elements"),
    "bytes": (Table({"bad": [b"\xff"]}), r"Column 'bad' holds a string that is no text: 'utf-8' codec"),
    "surrogate": (Table({"bad": ["\ud800"]}), r"Column 'bad' holds a string that is no text: 'utf-16' codec"),
    "string arrays": (Table({"bad": [["a", "b"]]}), r"Column 'bad' holds arrays of strings, which astropy cannot read"),
    "name": (Table({"bad\x01": [1]}), r"Column 'bad\\x01' has a name with control characters, .* rename it"),
    "unit": (
        Table({"bad": Column([1.0], unit=u.def_unit("frobnicate"))}),
        r"Column 'bad' has the unit Unit\(\"frobnicate\"\), which cannot be read back",
    ),
    "masked and nan": (
        Table({"bad": MaskedColumn([[1.0, np.nan]], mask=[[1, 0]])}),
        r"Column 'bad' has masked values and NaN, which only 'binary2' can tell apart, and only if all",
    ),
    "every value used": (
        Table({"bad": MaskedColumn(np.arange(258).reshape(-1, 2) % 256, mask=[[1, 0]] + [[0, 0]] * 128, dtype="u1")}),
        r"Column 'bad' has masked values and uses every value of 'uint8'",
    ),
    "column meta": (
        Table({"x": Column([1], meta={"bad": object})}),
        r"The meta of Column 'x'\['bad'\] is <class 'object'> \(type\), which a VOTable cannot keep",
    ),
    "column format": (Table({"x": Column([1], format=len)}), r"The format of Column 'x' is <built-in function len>"),
    "meta": (Table({"x": [1]}, meta={"bad": Time(1, format="mjd")}), r"The meta key 'bad' is <Time .* cannot keep"),
    "nested meta": (
        Table({"x": [1]}, meta={"a": {"b": [(1, 2)]}}),
        r"The meta key 'a'\['b'\]\[0\] is \(1, 2\) \(tuple\)",
    ),
    "meta key": (Table({"x": [1]}, meta={3: 1}), r"The meta key 3 cannot be the name of a VOTable PARAM"),
    "meta dtype": (
        Table({"x": [1]}, meta={"bad": np.zeros(2, "u2")}),
        r"The meta key 'bad' is array\(\[0, 0\], .* expected strings, numbers, bools, None, and lists",
    ),
    "meta strings": (Table({"x": [1]}, meta={"bad": np.array(["a"])}), r"The meta key 'bad' is array\(.*and lists"),
    "meta quantity": (Table({"x": [1]}, meta={"bad": [1, 2] * u.m}), r"The meta key 'bad' is <Quantity \[1., 2.\] m>"),
    "meta unit": (
        Table({"x": [1]}, meta={"bad": 1 * u.def_unit("frobnicate")}),
        r"The meta key 'bad' has the unit Unit\(\"frobnicate\"\)",
    ),
}


def refusal(store, table):
    """What putting a table fails with."""
    with pytest.raises(RuntimeError, match="Failed to serialize dataset") as error:
        store.put(table, "VOTable")
    assert isinstance(error.value.__cause__, FormatError)
    return str(error.value.__cause__)


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_kept_is_refused_by_name_and_leaves_nothing(store, case):
    table, message = REFUSED[case]
    before = store.files()
    assert re.match(message, refusal(store, table), re.DOTALL)
    assert store.files() == before


REFUSED_BY = {
    "masked strings": ("binary", MaskedColumn(["a", "b"], mask=[1, 0]), "holds masked strings, which 'binary' cannot"),
    "in text": ("tabledata", MaskedColumn(["a", "b"], mask=[1, 0]), "holds masked strings, which 'tabledata' cannot"),
    "masked and nan": ("binary", MaskedColumn([1.0, np.nan], mask=[1, 0]), "has masked values and NaN, which only"),
    "control characters": ("tabledata", ["a\x02"], "holds strings with control characters"),
    "blanks": ("tabledata", ["a "], "holds strings with control characters, or with blanks at an end"),
}


@pytest.mark.parametrize("case", REFUSED_BY)
def test_what_only_binary2_keeps_is_refused_by_the_others(stores, case):
    recipe, column, message = REFUSED_BY[case]
    table = Table({"bad": column})
    assert f"Column 'bad' {message}" in refusal(stores[recipe], table)
    assert repr(stores["binary2"].round_trip(table, "VOTable")) == repr(table)
