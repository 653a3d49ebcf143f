"""CSV as the archive writes it, and CSV that is damaged: what is read is right, and what is not read is reported."""

from __future__ import annotations

import re

import pytest
from archive_samples import IRIS, M31, caom_table, csv_of, planned_of, read, reasons_of, sia_table

from spherex_butler.archive.tables import count_rows, read_archive_table
from spherex_butler.errors import FormatError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "table.csv"


def test_a_byte_order_mark_line_ends_of_windows_and_blank_lines_do_not_matter(path):
    path.write_bytes(b"\xef\xbb\xbf" + M31.read_bytes().replace(b"\n", b"\r\n") + b"\r\n\r\n")
    assert planned_of(path) == planned_of(M31)


def test_lines_are_counted_also_where_the_last_has_no_end(path):
    path.write_text(M31.read_text().rstrip("\n"))
    assert count_rows(path) == 6


def test_columns_after_cloud_access_are_read_where_it_is_quoted_correctly(path):
    table = sia_table()
    names = [name for name in table.colnames if name != "t_max"]
    csv_of(table[[*names, "t_max"]], path)
    assert planned_of(path) == planned_of(M31)
    path.write_text(path.read_text().replace('"{', "{").replace('}"', "}").replace('""', '"'))
    assert all("fields" in reason for reason in reasons_of(path))


def test_a_quoted_field_may_have_several_lines(path):
    table = sia_table()
    table["proposal_title"] = "SPHEREx\nSurvey"
    assert planned_of(csv_of(table, path)) == planned_of(M31)


@pytest.mark.parametrize("source", [M31, IRIS])
def test_wherever_a_file_is_cut_off_nothing_wrong_is_taken(source, path):
    text, expected = source.read_text(), planned_of(source)
    second = text.index("\n", text.index("\n") + 1) + 1
    for length in range(second, text.index("\n", second), 3):
        path.write_text(text[:length])
        planned, failed = read(path)
        assert planned == expected[: len(planned)]
        assert len(planned) + len(failed) >= 1 + (length > second)


@pytest.mark.parametrize("source", [M31, IRIS])
def test_a_row_cut_off_within_a_file_is_not_mixed_with_the_next(source, path):
    header, first, second, *_ = source.read_text().splitlines(keepends=True)
    expected = planned_of(source)[:2]
    for length in range(1, len(first), 3):
        path.write_text(header + first[:length] + "\n" + second)
        planned, failed = read(path)
        assert planned in (expected, expected[1:], [])
        assert len(failed) == (len(planned) < 2)


@pytest.mark.parametrize("source", [M31, IRIS])
def test_rows_run_together_are_no_row(source, path):
    header, first, second, *_ = source.read_text().splitlines(keepends=True)
    path.write_text(header + first.rstrip("\n") + second)
    (failed,) = read(path)[1]
    assert "fields, from '" in failed.reason
    assert failed.reason.endswith("expected 51.")
    assert failed.uri == f"{path}, row 1"


def test_without_a_line_break_the_last_field_may_be_cut_off(path):
    csv_of(caom_table()["uri", "poly", "time_bounds_lower", "time_bounds_upper"], path)
    path.write_text(path.read_text().rstrip("\n")[:-4])
    planned, (failed,) = read(path)
    assert len(planned) == 5
    assert failed.reason == "The file ends within the field '61037.26'; expected a line break after it."


@pytest.mark.parametrize("end", ['"', ""])
def test_a_quote_that_is_not_closed_is_an_error_that_shows_it_and_counts_lines(end, path):
    header, first, *others = csv_of(caom_table(), path).read_text().splitlines(keepends=True)
    path.write_text(
        header + first.replace("POLYGON", '"POLYGON') + "".join(others) + end + "\n" + "".join(others) * 200
    )
    planned, (failed, *_) = read(path)
    assert set(map(str, planned)) <= set(map(str, planned_of(caom_table())[1:]))
    assert len(planned) > 100
    assert failed.uri == f"{path}, row 1"
    assert re.fullmatch(
        rf"A quote is opened in {re.escape(repr(first[:60]))}, but not closed on its line, so \d+ lines are not read; "
        r"expected a quote after each quoted field\.",
        failed.reason,
    )


@pytest.mark.parametrize("junk", ["x" * 200_000, '"' + "x" * 200_000])
def test_a_field_without_end_fails_its_row_only(junk, path):
    header, rows = csv_of(caom_table(), path).read_text().split("\n", 1)
    path.write_text(f"{header}\n{junk}\n{rows}")
    planned, (failed,) = read(path)
    assert len(planned) == 6
    assert failed.reason == "The line is not a row: field larger than field limit (131072); expected 5 fields."


def test_an_ecsv_header_alone_is_refused(tmp_path):
    path = tmp_path / "table.ecsv"
    path.write_text("# %ECSV 1.0\n# ---\n")
    with pytest.raises(FormatError, match=r"ends within its header; expected a line with the names of the columns\."):
        list(read_archive_table(path))
