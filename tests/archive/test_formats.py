"""Documents that are no tables, or tables with something wrong."""

from __future__ import annotations

import gzip

import pytest
from archive_samples import M31, caom_table, sia_table

from spherex_butler.archive.tables import count_rows, read_archive_table
from spherex_butler.errors import FormatError

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


@pytest.fixture
def write(tmp_path):
    """Return what writes a file and gives its path."""

    def write(content, name="answer.xml"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def read(path):
    (batch,) = read_archive_table(path)
    return batch.planned, [file.reason for file in batch.failed]


def test_a_votable_written_by_hand_is_read(write):
    (planned,), failed = read(write(document()))
    assert planned.data_id["exposure"] == 20255110106842
    assert failed == []


def test_elements_may_have_the_prefix_of_their_namespace(write):
    text = document().replace("xmlns=", "xmlns:v=").replace("<", "<v:").replace("<v:/", "</v:").replace("<v:?", "<?")
    (planned,), failed = read(write(text))
    assert planned.data_id["detector"] == 3
    assert failed == []


def test_an_answer_cut_off_by_the_service_is_taken_and_said(write):
    planned, (reason,) = read(write(document(after='<INFO name="QUERY_STATUS" value="OVERFLOW"/>')))
    assert len(planned) == 1
    assert reason.startswith("The service cut its answer off after 1 rows (QUERY_STATUS OVERFLOW)")
    assert "ask again with a greater MAXREC" in reason


def test_an_error_at_the_end_of_an_answer_is_said(write):
    planned, (reason,) = read(write(document(after='<INFO name="QUERY_STATUS" value="ERROR">disk full</INFO>')))
    assert len(planned) == 1
    assert reason == "The service failed after 1 rows: 'disk full'; ask again."


def test_an_error_message_is_refused_with_its_words(write):
    text = (
        '<VOTABLE><RESOURCE type="results"><INFO name="QUERY_STATUS" value="ERROR">No such table: &lt;x&gt;</INFO>'
        '<INFO name="other" value="x">more</INFO></RESOURCE></VOTABLE>'
    )
    with pytest.raises(FormatError, match=r"is an error message of the service: 'No such table: <x>'\."):
        list(read_archive_table(write(text)))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            '<FITS extnum="1"><STREAM href="file.fits"/></FITS>',
            "with a FITS stream that is not in it as base64; expected a table as TABLEDATA",
        ),
        ('<BINARY2><STREAM href="http://host/"/></BINARY2>', "with a BINARY2 stream that is not in it as base64"),
        ('<BINARY><STREAM encoding="gzip">AA==</STREAM></BINARY>', "with a BINARY stream that is not in it as base64"),
    ],
)
def test_a_votable_without_data_of_its_own_is_refused(data, said, write):
    with pytest.raises(FormatError, match=said):
        list(read_archive_table(write(document(data))))


def test_a_votable_without_a_table_is_refused(write):
    with pytest.raises(FormatError, match="a VOTable with no table; expected a table as TABLEDATA, BINARY, BINARY2"):
        list(read_archive_table(write("<VOTABLE><RESOURCE/></VOTABLE>")))


@pytest.mark.parametrize("data", ["", "<TABLEDATA/>"])
def test_a_table_without_rows_is_empty(data, write):
    assert list(read_archive_table(write(document(data)))) == []


def test_a_row_with_a_cell_missing_fails(write):
    short = cells().replace("<TD>61027.214984</TD>", "")
    planned, (reason,) = read(write(document(f"<TABLEDATA>{short}{cells()}</TABLEDATA>")))
    assert len(planned) == 1
    assert reason == "The row has 3 cells; expected 4."


def test_fewer_rows_than_the_header_says_are_said(write):
    path = write(document(attributes=' nrows="7"'))
    assert count_rows(path) == 7
    planned, (reason,) = read(path)
    assert len(planned) == 1
    assert reason == "The document has 1 rows, but says nrows='7'; expected as many."


def test_a_second_table_is_not_passed_over_in_silence(write):
    second = f'<TABLE><FIELD name="x" datatype="int"/><DATA><TABLEDATA>{cells()}</TABLEDATA></DATA></TABLE>'
    planned, (reason,) = read(write(document(after=second)))
    assert len(planned) == 1
    assert reason == "The document has 2 tables, of which only the first was read; expected one."


def test_a_table_without_data_before_is_passed_over(write):
    first = '<TABLE><FIELD name="x" datatype="int"/></TABLE>'
    assert len(read(write(document(before=first)))[0]) == 1


def test_a_stream_that_is_not_base64_is_said(write):
    stream = '<BINARY><STREAM encoding="base64">AAA*AAAA</STREAM></BINARY>'
    planned, (reason, *_) = read(write(document(stream)))
    assert planned == []
    assert reason.startswith("The binary stream is damaged (")
    assert reason.endswith("expected base64.")


def test_a_stream_that_ends_within_a_row_is_said(write):
    stream = '<BINARY><STREAM encoding="base64">AAAAAAAA</STREAM></BINARY>'
    planned, reasons = read(write(document(stream)))
    assert planned == []
    assert reasons == ["6 bytes are left after row 0; expected whole rows."]


@pytest.mark.parametrize(
    ("datatype", "arraysize"), [("int128", "1"), ("double", "2x*"), ("bit", "*"), ("double", "0"), ("char", "x")]
)
def test_a_column_that_cannot_be_skipped_is_refused(datatype, arraysize, write):
    field = f'<FIELD name="odd" datatype="{datatype}" arraysize="{arraysize}"/>'
    stream = '<BINARY><STREAM encoding="base64">AAAAAAAA</STREAM></BINARY>'
    said = (
        rf"The column 'odd' has datatype='{datatype}' and arraysize='{arraysize.replace('*', '.')}', which is not read"
    )
    with pytest.raises(FormatError, match=said):
        list(read_archive_table(write(document(stream, fields=field))))


def test_columns_of_every_datatype_are_skipped(tmp_path):
    table = caom_table()
    for name in ("uint8", "int16", "int32", "int64", "float32", "complex64", "complex128", "bool"):
        table.add_column([1] * 6, index=0, name=name)
        table[name] = table[name].astype(name)
    table.add_column(["é"] * 6, index=0, name="text")
    table.add_column([[1.0, 2.0]] * 6, index=0, name="pair")
    table.add_column([[True] * 9] * 6, index=0, name="bits")
    for serialization in ("binary", "binary2"):
        path = tmp_path / f"{serialization}.vot"
        table.write(path, format="votable", tabledata_format=serialization)
        assert len(read(path)[0]) == 6


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"begins with b'' \(it is empty\); expected a table as Parquet, ECSV, VOTable, CSV"),
        (b"<html><body>504 Gateway Time-out</body></html>", "an HTML or XML document that is no VOTable"),
        (b"SIMPLE  =                    T", "a FITS file"),
        (b"\\fixlen = T\n|uri|poly|\n", "an IPAC table"),
        (b"|uri   |poly  |\n", "an IPAC table"),
        (b'{"data": []}', "JSON"),
        (b"\x00\x01\x02\x03", r"begins with b'\\x00\\x01\\x02\\x03'; expected"),
        (b"just words", "begins with b'just words'; expected"),
    ],
)
def test_what_is_no_table_is_refused_with_what_it_is(content, said, write):
    with pytest.raises(FormatError, match=said):
        list(read_archive_table(write(content, "answer.csv")))


def test_content_decides_whatever_the_file_is_called(write):
    assert len(read(write(document(), "answer.csv"))[0]) == 1
    assert len(read(write(M31.read_bytes(), "answer.xml"))[0]) == 6


def test_an_ecsv_header_alone_is_refused(write):
    with pytest.raises(FormatError, match=r"ends within its header; expected a line with the names of the columns\."):
        list(read_archive_table(write("# %ECSV 1.0\n# ---\n", "table.ecsv")))


def test_a_damaged_parquet_file_is_said(tmp_path):
    path = tmp_path / "table.parquet"
    sia_table().write(path)
    data = path.read_bytes()
    path.write_bytes(data[:2000] + bytes(2000) + data[4000:])
    planned, (reason,) = read(path)
    assert planned == []
    assert "The Parquet file is damaged here, so rows are missing" in reason
    path.write_bytes(data[:-50])
    with pytest.raises(FormatError, match="is a damaged Parquet file"):
        list(read_archive_table(path))


def test_a_damaged_gzip_file_is_refused(write):
    path = write(gzip.compress(M31.read_bytes())[:12], "table.csv.gz")
    with pytest.raises(FormatError, match=r"is compressed, but damaged: .*; expected a whole gzip file"):
        list(read_archive_table(path))


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, run_python):
    path = tmp_path / "table.parquet"
    sia_table().write(path)
    script = """
import sys
from spherex_butler.archive.tables import read_archive_table
from spherex_butler.errors import ConfigurationError
sys.modules["pyarrow"] = None
try:
    list(read_archive_table(sys.argv[1]))
except ConfigurationError as error:
    print(error)
"""
    assert "needs pyarrow: pip install 'spherex-butler[archive]'." in run_python(script, path)
