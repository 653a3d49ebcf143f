"""VOTable documents written by hand: whole ones, and ones with something wrong."""

from __future__ import annotations

import numpy as np
import pytest
from archive_samples import caom_table, planned_of, read, write_votable
from astropy.table import MaskedColumn

from spherex_butler.archive.tables import count_rows, read_archive_table
from spherex_butler.errors import FormatError

SERIALIZATIONS = ("tabledata", "binary", "binary2")
STATUS = '<INFO name="QUERY_STATUS" value="{}">{}</INFO>'
VOTABLE = """<?xml version="1.0"?>
<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">
<RESOURCE type="results">
{before}
<TABLE{attributes}>
<FIELD name="uri" datatype="char" arraysize="*"/>
<FIELD name="poly" datatype="double" arraysize="*" xtype="polygon"/>
<FIELD name="time_bounds_lower" datatype="double"/>
<FIELD ID="time_bounds_upper" datatype="double"/>
{fields}
<DATA>{data}</DATA>
</TABLE>
{after}
</RESOURCE>
</VOTABLE>
"""


def cells():
    """Return the first real row as TABLEDATA."""
    uri, poly, begin, end, _ = caom_table()[0]
    return f"<TR><TD>{uri}</TD>\n  <TD>{poly}</TD><TD>{begin}</TD><TD> {end} </TD></TR>"


def document(data=None, *, before="", after="", attributes="", fields=""):
    data = f"<TABLEDATA>\n{cells()}\n</TABLEDATA>" if data is None else data
    return VOTABLE.format(before=before, after=after, attributes=attributes, fields=fields, data=data)


def stream(text):
    return f'<BINARY><STREAM encoding="base64">{text}</STREAM></BINARY>'


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a document and returns its path."""

    def write(content):
        path = tmp_path / "answer.xml"
        path.write_text(content)
        return path

    return write


def test_a_votable_written_by_hand_is_read(write):
    (planned,) = planned_of(write(document()))
    assert planned.data_id["exposure"] == 20255110106842


def test_elements_may_have_the_prefix_of_their_namespace(write):
    text = document().replace("xmlns=", "xmlns:v=").replace("<", "<v:").replace("<v:/", "</v:").replace("<v:?", "<?")
    assert len(planned_of(write(text))) == 1


def test_a_table_without_data_before_is_passed_over(write):
    first = '<TABLE><FIELD name="x" datatype="int"/></TABLE>'
    assert len(planned_of(write(document(before=first)))) == 1


@pytest.mark.parametrize("data", ["", "<TABLEDATA/>"])
def test_a_table_without_rows_is_empty(data, write):
    assert read(write(document(data))) == ([], [])


@pytest.mark.parametrize(
    ("parts", "count", "reason"),
    [
        (
            {"after": STATUS.format("OVERFLOW", "")},
            1,
            "The service cut its answer off after 1 rows (QUERY_STATUS OVERFLOW), so images are missing; ask again",
        ),
        ({"after": STATUS.format("ERROR", "disk full")}, 1, "The service failed after 1 rows: 'disk full'; ask again."),
        (
            {"after": f"<TABLE><FIELD name='x' datatype='int'/><DATA><TABLEDATA>{cells()}</TABLEDATA></DATA></TABLE>"},
            1,
            "The document has 2 tables, of which only the first was read; expected one.",
        ),
        ({"attributes": ' nrows="7"'}, 1, "The document has 1 rows, but says nrows='7'; expected as many."),
        ({"data": f"<TABLEDATA><TR><TD/></TR>{cells()}</TABLEDATA>"}, 1, "The row has 1 cells; expected 4."),
        ({"data": stream("AAA*AAAA")}, 0, "The binary stream is damaged (Only base64 data is allowed), so rows are"),
        ({"data": stream("AAAAAAAA")}, 0, "6 bytes are left after row 0; expected whole rows."),
    ],
)
def test_what_is_missing_in_an_answer_is_said(parts, count, reason, write):
    planned, failed = read(write(document(**parts)))
    assert len(planned) == count
    assert failed[0].reason.startswith(reason)


def test_the_number_of_rows_is_what_the_header_says(write):
    assert count_rows(write(document(attributes=' nrows="7"'))) == 7
    assert count_rows(write(document())) is None


REPORTED = STATUS.format("ERROR", "No such table: &lt;x&gt;") + '<INFO name="other" value="x">more</INFO>'
ERROR = f'<VOTABLE><RESOURCE type="results">{REPORTED}</RESOURCE></VOTABLE>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ERROR, r"is an error message of the service: 'No such table: <x>'\."),
        ("<VOTABLE><RESOURCE/></VOTABLE>", "a VOTable with no table; expected a table as TABLEDATA, BINARY, BINARY2"),
        (
            document('<FITS><STREAM href="x.fits"/></FITS>'),
            "a FITS stream that is not in it as base64; expected a",
        ),
        (document('<BINARY2><STREAM href="http://host/"/></BINARY2>'), "a BINARY2 stream that is not in it as base64"),
        (document('<BINARY><STREAM encoding="gzip">AA==</STREAM></BINARY>'), "a BINARY stream that is not in it as"),
    ],
)
def test_a_votable_without_data_of_its_own_is_refused(text, message, write):
    with pytest.raises(FormatError, match=message):
        list(read_archive_table(write(text)))


@pytest.mark.parametrize(
    ("datatype", "arraysize"), [("int128", "1"), ("double", "2x*"), ("bit", "*"), ("double", "0"), ("char", "x")]
)
def test_a_binary_column_that_cannot_be_skipped_is_refused(datatype, arraysize, write):
    field = f'<FIELD name="odd" datatype="{datatype}" arraysize="{arraysize}"/>'
    said = f"'odd' has datatype='{datatype}' and arraysize='{arraysize.replace('*', '.')}', which is not read"
    with pytest.raises(FormatError, match=said):
        list(read_archive_table(write(document(stream("AAAAAAAA"), fields=field))))


@pytest.mark.parametrize("serialization", ["binary", "binary2"])
def test_binary_columns_of_every_datatype_are_skipped(serialization, tmp_path):
    table = caom_table()
    for name in ("uint8", "int16", "int32", "int64", "float32", "complex64", "complex128", "bool"):
        table.add_column(np.ones(6, name), index=0, name=name)
    table.add_column(["é"] * 6, index=0, name="text")
    table.add_column([[1.0, 2.0]] * 6, index=0, name="pair")
    table.add_column([[True] * 9] * 6, index=0, name="bits")
    write_votable(table, tmp_path / "table.vot", serialization)
    assert len(planned_of(tmp_path / "table.vot")) == 6


@pytest.mark.parametrize("serialization", SERIALIZATIONS)
def test_polygons_may_be_arrays_of_numbers_of_different_lengths(serialization, tmp_path):
    polygons = [[6.5, 41.5, 11.0, 43.0, 13.5, 39.5], [1.0, 2.0, 3.0, 4.0, 5.0, 4.0, 3.0, 2.0]]
    table = caom_table()[:2]
    table["poly"] = np.array([np.ma.array(numbers, mask=[False] * len(numbers)) for numbers in polygons], object)
    write_votable(table, tmp_path / "table.vot", serialization)
    for source in (table, tmp_path / "table.vot"):
        corners = [file.description.corners for file in planned_of(source)]
        assert [[number for corner in each for number in corner] for each in corners] == polygons


@pytest.mark.parametrize("serialization", SERIALIZATIONS)
def test_polygons_may_be_arrays_of_one_length(serialization, tmp_path):
    table = caom_table(poly=lambda region: np.array(region.split()[2:], float))
    write_votable(table, tmp_path / "table.vot", serialization)
    assert planned_of(tmp_path / "table.vot") == planned_of(table) == planned_of(caom_table())


@pytest.mark.parametrize("serialization", ["tabledata", "binary2"])
def test_an_image_without_a_region_is_off_the_sky(serialization, tmp_path):
    table = caom_table()
    table["poly"] = MaskedColumn(table["poly"], mask=[True, *[False] * 5])
    write_votable(table, tmp_path / "table.vot", serialization)
    corners = [file.description.corners for file in planned_of(tmp_path / "table.vot")]
    assert [each is None for each in corners] == [True, *[False] * 5]


@pytest.mark.parametrize("serialization", SERIALIZATIONS)
def test_wherever_a_document_is_cut_off_nothing_wrong_is_taken(serialization, tmp_path):
    whole, cut = tmp_path / "whole.vot", tmp_path / "cut.vot"
    write_votable(caom_table(), whole, serialization)
    data, expected = whole.read_bytes(), planned_of(whole)
    begin = data.index(b"<TABLEDATA>" if serialization == "tabledata" else b"<STREAM")
    for length in range(begin + 40, len(data) - 10, 61):
        cut.write_bytes(data[:length])
        planned, failed = read(cut)
        assert planned == expected[: len(planned)]
        assert "is damaged or ends too early" in failed[-1].reason
