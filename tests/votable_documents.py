"""VOTable documents for tests: made from their parts, written and read without a repository, and compared."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest

from spherex_butler.errors import FormatError
from spherex_butler.formats.votable.reading import TableFile
from spherex_butler.formats.votable.writing import write_table

SERIALIZATIONS = ("binary2", "binary", "tabledata")


def written(table, serialization="binary2"):
    return write_table(table, serialization).decode()


def read(text, *, quantities=False, **options):
    stream = io.BytesIO(text if isinstance(text, bytes) else text.encode())
    return TableFile(stream, quantities=quantities).read(**options)


def document(body, *, fields='<FIELD name="x" datatype="int"/>', version="1.3", before="", after="", table=""):
    return (
        f'<?xml version="1.0"?>\n<VOTABLE version="{version}"><RESOURCE type="results">{before}'
        f"<TABLE{table}>{fields}<DATA>{body}</DATA></TABLE>{after}</RESOURCE></VOTABLE>"
    )


def texts(*rows):
    return "<TABLEDATA>" + "".join(f"<TR>{''.join(f'<TD>{v}</TD>' for v in row)}</TR>" for row in rows) + "</TABLEDATA>"


def stream(data, tag="BINARY2", attributes='encoding="base64"'):
    return f"<{tag}><STREAM {attributes}>{base64.b64encode(data).decode()}</STREAM></{tag}>"


def refusal(text, **options):
    with pytest.raises(FormatError) as error:
        read(text, **options)
    return str(error.value)


def objects(*values):
    column = np.empty(len(values), object)
    column[:] = values
    return column


def assert_same(put, got):
    """Classes, names, dtypes, shapes, masks, values where not masked, and all that is said of columns and table."""
    assert type(got) is type(put)
    assert got.colnames == put.colnames
    assert len(got) == len(put)
    for name in put.colnames:
        _assert_same_column(put[name], got[name])
    assert {key: (type(value), value) for key, value in got.meta.items()} == {
        key: (type(value), value) for key, value in put.meta.items()
    }


def _assert_same_column(put, got):
    assert type(got) is type(put)
    assert got.dtype == put.dtype.newbyteorder("=")
    assert got.shape == put.shape
    for attribute in ("name", "unit", "description", "format"):
        assert getattr(got.info, attribute) == getattr(put.info, attribute), attribute
    assert dict(got.info.meta or {}) == dict(put.info.meta or {})
    put, got = (getattr(column, "value", column) for column in (put, got))
    mask = np.array(getattr(put, "mask", False))
    assert np.array_equal(np.array(getattr(got, "mask", False)), mask)
    if mask.any():
        put, got = (np.asarray(getattr(column, "unmasked", np.ma.getdata(column)))[~mask] for column in (put, got))
    assert _same_values(put, got)


def _same_values(left, right):
    if left.dtype == object:
        return all(map(_same_values, map(np.asanyarray, left), map(np.asanyarray, right)))
    equal_nan = left.dtype.kind in "fc"
    return np.array_equal(np.ma.getdata(left), np.ma.getdata(right), equal_nan=equal_nan)
