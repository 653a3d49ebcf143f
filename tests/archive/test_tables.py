from __future__ import annotations

import gzip
import itertools
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from archive_samples import BUCKET, FIRST_KEY, FIRST_NAME, IRIS, M31, ROOT, caom_table, csv_of, sia_table
from astropy.table import MaskedColumn, QTable, vstack

from spherex_butler.archive.tables import count_rows, read_archive_table
from spherex_butler.errors import FormatError, ParameterError
from spherex_butler.ingest.plan import plan_files
from spherex_butler.testing import write_level2


def read(table, **options):
    batches = list(read_archive_table(table, **options))
    planned = [file for batch in batches for file in batch.planned]
    return planned, [failed for batch in batches for failed in batch.failed]


def planned_of(table, **options):
    planned, failed = read(table, **options)
    assert not failed
    return planned


def reasons_of(table, **options):
    planned, failed = read(table, **options)
    assert not planned
    return [file.reason for file in failed]


def changed(**values):
    """Return one real row with other values."""
    table = sia_table()[:1]
    for name, value in values.items():
        table[name] = [value]
    return table


# What real rows say


def test_a_real_row_says_which_image_where_when_and_of_what():
    first = planned_of(M31)[0]
    assert first.uri == ROOT + FIRST_KEY
    assert first.data_id == {"instrument": "SPHEREx", "exposure": 20255110106842, "detector": 3}
    assert (first.name.run, first.release, first.size) == ("spx/l2b-v21-2025-354", "qr2", None)
    description = first.description
    assert (description.begin, description.end) == (61027.214984, 61027.216317)
    assert description.corners == (
        (6.962852120551271, 41.75009330770693),
        (11.28249000497766, 43.137330881450204),
        (13.174643355147754, 39.946653279470475),
        (8.97915502445252, 38.62459220149968),
    )
    assert description.fields["exposure_time"] == 113.5826
    assert description.fields["target_name"] == "SPS_87514"
    assert first.warnings == []


@pytest.mark.parametrize(
    ("path", "exposures"),
    [
        (M31, [20255110106842, 20255120102582, 20255210103441, 20255210103444, 20255210106072, 20255220105551]),
        (IRIS, [20254910103321, 20254910103322]),
    ],
)
def test_every_real_row_of_both_broken_forms_is_read(path, exposures):
    assert [file.data_id["exposure"] for file in planned_of(path)] == exposures


def test_a_row_has_the_fields_that_a_header_has(tmp_path):
    ((described,), _) = plan_files(write_level2(tmp_path, detector=3, size=48))
    assert planned_of(M31)[0].description.fields.keys() == described.description.fields.keys()


# Every file format gives the same


def write_votable(table, path, serialization):
    table.write(path, format="votable", tabledata_format=serialization)


WRITERS = {
    "tabledata.vot": lambda table, path: write_votable(table, path, "tabledata"),
    "binary.xml": lambda table, path: write_votable(table, path, "binary"),
    "binary2.votable": lambda table, path: write_votable(table, path, "binary2"),
    "quoted.csv": csv_of,
    "table.ecsv": lambda table, path: table.write(path),
    "comma.ecsv": lambda table, path: table.write(path, delimiter=","),
    "table.parquet": lambda table, path: table.write(path),
    "no_extension": lambda table, path: write_votable(table, path, "tabledata"),
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("layout", [sia_table, caom_table])
def test_every_format_gives_the_same_images(name, layout, tmp_path):
    WRITERS[name](layout(), tmp_path / name)
    expected = planned_of(layout())
    assert len(expected) == 6
    assert planned_of(tmp_path / name) == expected
    assert planned_of(str(tmp_path / name)) == expected


@pytest.mark.parametrize("name", ["tabledata.vot", "binary2.votable", "quoted.csv", "table.ecsv"])
def test_text_may_be_compressed(name, tmp_path):
    WRITERS[name](sia_table(), tmp_path / name)
    packed = tmp_path / f"{name}.gz"
    packed.write_bytes(gzip.compress((tmp_path / name).read_bytes()))
    assert planned_of(packed) == planned_of(sia_table())


def test_csv_may_begin_with_a_byte_order_mark_and_end_lines_as_windows_does(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"\xef\xbb\xbf" + M31.read_bytes().replace(b"\n", b"\r\n") + b"\r\n\r\n")
    assert planned_of(path) == planned_of(M31)


def test_tables_in_memory_may_be_masked_of_quantities_or_of_bytes():
    table = QTable(sia_table())
    table["t_min"].unit = table["t_max"].unit = "d"
    table["access_url"] = np.char.encode(np.array(table["access_url"]))
    table["t_exptime"] = MaskedColumn(table["t_exptime"], mask=[True] * 6)
    planned = planned_of(table)
    assert [file.uri for file in planned] == [file.uri for file in planned_of(M31)]
    assert {file.description.fields["exposure_time"] for file in planned} == {None}


def test_tables_one_after_the_other():
    assert planned_of(iter([sia_table(M31), sia_table(IRIS)])) == planned_of(M31) + planned_of(IRIS)


def test_what_is_no_table_among_tables_is_refused():
    with pytest.raises(ParameterError, match=r"'rows.csv' is a str; expected an astropy Table, or one path alone\."):
        list(read_archive_table(["rows.csv"]))


def test_rows_come_in_batches_in_their_order():
    batches = list(read_archive_table(M31, batch_size=4))
    assert [len(batch) for batch in batches] == [4, 2]
    assert [file for batch in batches for file in batch.planned] == planned_of(M31)
    with pytest.raises(ParameterError, match=r"batch_size=0 holds nothing; expected at least 1\."):
        read_archive_table(M31, batch_size=0)


def test_a_table_without_rows_has_no_images(tmp_path):
    path = tmp_path / "empty.csv"
    path.write_text(M31.read_text().partition("\n")[0] + "\n")
    assert list(read_archive_table(path)) == []
    assert list(read_archive_table(sia_table()[:0])) == []


@pytest.mark.parametrize(
    ("name", "expected"), [("quoted.csv", 6), ("table.ecsv", 6), ("table.parquet", 6), ("tabledata.vot", None)]
)
def test_rows_are_counted_beforehand_where_that_is_cheap(name, expected, tmp_path):
    WRITERS[name](sia_table(), tmp_path / name)
    assert count_rows(tmp_path / name) == expected


def test_lines_are_counted_also_where_the_last_has_no_end(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(M31.read_text().rstrip("\n"))
    assert count_rows(path) == 6


def test_rows_of_tables_are_counted_unless_they_are_yet_to_come():
    assert count_rows(M31) == 6
    assert count_rows(sia_table()) == 6
    assert count_rows([sia_table(), sia_table(IRIS)]) == 8
    assert count_rows(iter([sia_table()])) is None


@pytest.mark.parametrize("name", ["broken.csv", "tabledata.vot", "binary2.votable", "table.ecsv"])
def test_memory_does_not_grow_with_the_file(name, tmp_path):
    peaks = []
    for copies in (600, 3000):
        path = tmp_path / f"{copies}-{name}"
        if name == "broken.csv":
            header, *rows = M31.read_text().splitlines(keepends=True)
            path.write_text(header + "".join(rows) * (copies // 6))
        else:
            WRITERS[name](vstack([sia_table()] * (copies // 6)), path)
        tracemalloc.start()
        number = sum(len(batch) for batch in read_archive_table(path, batch_size=500))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert number == copies // 6 * 6
    assert peaks[1] < peaks[0] + 1_000_000


# Which columns


def test_columns_are_found_in_any_case_and_with_the_name_of_their_table():
    table = caom_table()
    table.rename_columns(["uri", "poly", "time_bounds_lower"], ["artifact.uri", "plane.poly", "TIME_BOUNDS_LOWER"])
    assert planned_of(table) == planned_of(caom_table())


def test_plane_and_artifact_rows_give_the_images_of_the_search():
    found, searched = planned_of(caom_table()), planned_of(M31)
    assert [file.uri for file in found] == [file.uri for file in searched]
    assert [file.description.corners for file in found] == [file.description.corners for file in searched]
    assert {file.description.fields["target_name"] for file in found} == {None}


def test_uri_is_the_address_where_access_url_is_a_datalink():
    table = sia_table()
    table["uri"] = caom_table()["uri"]
    table["access_url"] = "https://irsa.ipac.caltech.edu/datalink/sync?ID=ivo://irsa.ipac/spherex_qr2?x"
    assert planned_of(table) == planned_of(M31)


def test_a_table_of_datalinks_is_refused_with_the_column_to_add():
    table = sia_table()
    table["access_url"] = "https://irsa.ipac.caltech.edu/datalink/sync?ID=ivo://irsa.ipac/spherex_qr2?2025W51_1A/D3"
    with pytest.raises(FormatError, match=r"a DataLink, which names no file and no processing; expected a column uri"):
        list(read_archive_table(table))
    with pytest.raises(FormatError, match=r"SELECT o\.\*, a\.uri FROM spherex\.obscore o JOIN spherex\.plane p"):
        list(read_archive_table(table))


def test_a_datalink_further_down_fails_alone():
    table = vstack([sia_table()[:1], changed(access_url="https://host/DataLink?ID=1")])
    planned, failed = read(table)
    assert len(planned) == 1
    assert "a DataLink" in failed[0].reason


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("access_url", "no uri or access_url"),
        ("s_region", "no s_region or poly"),
        ("t_max", "no t_max or time_bounds_upper"),
    ],
)
def test_missing_columns_are_named_with_those_found(missing, said, tmp_path):
    table = sia_table()
    table.remove_column(missing)
    with pytest.raises(
        FormatError, match=rf"table\.csv has the columns \['s_ra', .*{said}.*rows of SIA2, with access_url"
    ):
        list(read_archive_table(csv_of(table, tmp_path / "table.csv")))


# Where the images are read


@pytest.mark.parametrize("layout", [sia_table, caom_table])
@pytest.mark.parametrize(
    ("access", "expected"),
    [
        ("irsa", ROOT),
        ("aws", BUCKET),
        ("s3://mine/spherex", "s3://mine/spherex/"),
        ("https://host/copy/", "https://host/copy/"),
        ("file:///data/spherex", "file:///data/spherex/"),
    ],
)
def test_access_says_where_images_are_read(layout, access, expected):
    assert planned_of(layout(), access=access)[0].uri == expected + FIRST_KEY


def test_a_folder_is_made_absolute(tmp_path, monkeypatch):
    (tmp_path / "my copy").mkdir()
    monkeypatch.chdir(tmp_path)
    assert planned_of(M31, access="my copy")[0].uri == f"{(tmp_path / 'my copy').as_uri()}/{FIRST_KEY}"
    assert planned_of(M31, access=str(tmp_path))[0].uri == f"{tmp_path.as_uri()}/{FIRST_KEY}"


@pytest.mark.parametrize("access", ["isra", "", "ftp://host/", "gs://bucket/x", "s3://bucket/a b", "https://host/?a=b"])
def test_access_that_is_no_place_is_refused(access, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ParameterError, match=r"is neither 'irsa' nor 'aws' nor the place of a copy of the archive's tree"
    ):
        read_archive_table(M31, access=access)


@pytest.mark.parametrize(
    "address",
    [
        FIRST_KEY,
        f"/ibe/data/spherex/{FIRST_KEY}",
        f"ibe/data/spherex/{FIRST_KEY}",
        ROOT + FIRST_KEY,
        BUCKET + FIRST_KEY,
        f"s3://nasa-irsa-spherex/{FIRST_KEY}",
        f"  {ROOT}{FIRST_KEY} ",
    ],
)
def test_addresses_of_the_archive_in_every_form_are_translated(address):
    assert planned_of(changed(access_url=address), access="aws")[0].uri == BUCKET + FIRST_KEY


def test_irsa_keeps_the_address_of_another_server():
    address = f"https://mirror.example/spherex/{FIRST_KEY}"
    assert planned_of(changed(access_url=address))[0].uri == address


@pytest.mark.parametrize(
    ("address", "access", "said"),
    [
        (f"https://mirror.example/{FIRST_KEY}", "aws", "is not in the archive's tree, under 'https://irsa"),
        (f"{ROOT}../secret/{FIRST_KEY}", "aws", "is no plain URL of a folder; expected http, https or s3"),
        (f"file:///{FIRST_KEY}", "irsa", "is no plain URL of a folder"),
        (f"{ROOT}a?b/{FIRST_KEY}", "irsa", "is no plain URL of a folder"),
        (
            f"{ROOT}{FIRST_KEY}?center=10.7,41.1d&size=0.01",
            "irsa",
            "a part of an image; expected the address of the whole",
        ),
        (f"{ROOT}{FIRST_KEY}#1", "irsa", "a part of an image"),
        ("", "irsa", "access_url is ''; expected the address of a file"),
        (f"{ROOT}readme.txt", "irsa", "'readme.txt' is not the name of a SPHEREx product"),
    ],
)
def test_an_address_that_is_none_fails_its_row(address, access, said):
    (reason,) = reasons_of(changed(access_url=address), access=access)
    assert said in reason


# What does not fit


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"obs_id": "2025W51_1A_0684_3"}, "obs_id is '2025W51_1A_0684_3', but the file is of '2025W51_1A_0684_2'"),
        ({"obs_id": "2025W51_1A_0684"}, "obs_id is '2025W51_1A_0684', but the file"),
        (
            {"energy_bandpassname": "SPHEREx-D4"},
            "is 'SPHEREx-D4', but the file is of detector 3; expected 'SPHEREx-D3'",
        ),
        ({"t_min": 61028.0}, "t_min is 61028.0 and t_max 61027.216317; expected the beginning and the end"),
        ({"t_min": 61025.0}, "expected the beginning and the end of one exposure"),
        ({"t_min": np.nan}, "as MJD between 60000 and 80000"),
        ({"t_min": 2461027.2, "t_max": 2461027.3}, "as MJD between 60000 and 80000"),
        ({"t_max": "soon"}, "t_max is 'soon'; expected a number"),
        ({"t_exptime": "long"}, "t_exptime is 'long'; expected a number"),
        ({"obs_collection": "spherex_qr3"}, "is 'spherex_qr3', but the file in 'https://irsa"),
        ({"s_region": "CIRCLE ICRS 10 20 3"}, "The region 'CIRCLE ICRS 10 20 3' is not understood; expected a polygon"),
        ({"s_region": "POLYGON ICRS 1 2 3 4 5"}, "is no polygon of right ascensions and declinations"),
        ({"s_region": "POLYGON ICRS 1 2 3 4 5 96"}, "is no polygon of right ascensions and declinations"),
        ({"s_region": "POLYGON ICRS 1 2 3 4 nan 6"}, "is no polygon of right ascensions and declinations"),
        ({"s_region": "POLYGON ICRS 1 2 3 4 1 2"}, "expected three or more, none twice"),
        ({"s_region": "POLYGON ICRS 1 2 3 4 3 4 5 6"}, "expected three or more, none twice"),
        ({"s_region": "POLYGON GALACTIC 1 2 3 4 5 6"}, "is not understood"),
        ({"s_region": "POLYGON ICRS 1 2 3 x 5 6"}, "is not understood"),
        ({"s_region": 7.0}, "The region 7.0 is not understood"),
    ],
)
def test_a_row_that_contradicts_itself_fails_and_others_go_in(values, said):
    good = sia_table()[1:3]
    for name, value in values.items():  # a column of the same kind
        good[name] = good[name].astype(object) if name == "s_region" else good[name].astype(type(value))
    bad = changed(**values)
    bad["s_region"] = bad["s_region"].astype(object)
    good["s_region"] = good["s_region"].astype(object)
    planned, failed = read([bad, good])
    assert len(planned) == 2
    assert [file.uri for file in failed] == [ROOT + FIRST_KEY]
    assert said in failed[0].reason


def test_a_calibration_is_no_image_and_the_user_is_told_what_takes_it():
    (reason,) = reasons_of(
        changed(access_url=f"{ROOT}qr2/dark/cal-drk-v4-2025-161/3/dark_D3_spx_cal-drk-v4-2025-161.fits")
    )
    assert "is a 'dark'; expected a 'level2' image" in reason
    assert "butler spherex ingest-calibrations" in reason


def test_a_row_without_an_address_is_known_by_its_number():
    table = sia_table()
    table["access_url"][4] = ""
    failed = read(table)[1]
    assert [file.uri for file in failed] == ["The table, row 5"]


def test_the_deep_survey_is_of_the_same_release_and_a_given_release_decides():
    assert planned_of(changed(obs_collection="spherex_qr2_deep"))[0].release == "qr2"
    assert planned_of(changed(obs_collection="spherex_qr3"), release="qr3")[0].release == "qr3"
    with pytest.raises(ParameterError, match="There is no release 'qr9'"):
        read_archive_table(M31, release="qr9")


def test_the_first_release_has_a_name_of_its_own():
    address = f"{ROOT}{FIRST_KEY}".replace("qr2/", "qr/")
    assert planned_of(changed(access_url=address, obs_collection="spherex_qr"))[0].release == "qr1"


# Regions


CORNERS = "6.5 41.5 11.0 43.0 13.5 39.5"
THREE = ((6.5, 41.5), (11.0, 43.0), (13.5, 39.5))


@pytest.mark.parametrize(
    "text",
    [
        f"POLYGON ICRS {CORNERS}",
        f"Polygon ICRS {CORNERS} 6.5 41.5",
        f"polygon icrs geocenter {CORNERS}",
        f"Polygon ICRS TOPOCENTER SPHERICAL2 {CORNERS}",
        f"POLYGON {CORNERS}",
        CORNERS,
        "POLYGON('ICRS', 6.5, 41.5, 11.0, 43.0, 13.5, 39.5)",
        "[6.5, 41.5, 11.0, 43.0, 13.5, 39.5]",
        "(6.5,41.5,11.0,43.0,13.5,39.5)",
    ],
)
def test_polygons_are_read_as_services_write_them(text):
    assert planned_of(changed(s_region=text))[0].description.corners == THREE


@pytest.mark.parametrize("serialization", ["tabledata", "binary", "binary2"])
def test_polygons_may_be_arrays_of_numbers(serialization, tmp_path):
    table = caom_table(poly=lambda region: np.array(region.split()[2:], float))
    assert planned_of(table) == planned_of(caom_table())
    write_votable(table, tmp_path / "arrays.vot", serialization)
    assert planned_of(tmp_path / "arrays.vot") == planned_of(caom_table())


def test_polygons_of_different_lengths_are_read_from_every_serialization(tmp_path):
    arrays = np.empty(2, object)
    arrays[:] = [
        np.ma.array(values, float, mask=[False] * len(values)) for values in (CORNERS.split(), [1, 2, 3, 4, 5, 4, 3, 2])
    ]
    table = caom_table()[:2]
    table["poly"] = arrays
    expected = [THREE, ((1.0, 2.0), (3.0, 4.0), (5.0, 4.0), (3.0, 2.0))]
    assert [file.description.corners for file in planned_of(table)] == expected
    for serialization in ("tabledata", "binary", "binary2"):
        path = tmp_path / f"{serialization}.vot"
        write_votable(table, path, serialization)
        assert [file.description.corners for file in planned_of(path)] == expected


def test_lists_in_parquet_are_regions(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: caom_table()[name].tolist()[:2] for name in caom_table().colnames}
    columns["poly"] = [[6.5, 41.5, 11.0, 43.0, 13.5, 39.5], None]
    pq.write_table(pa.table(columns), tmp_path / "lists.parquet")
    assert [file.description.corners for file in planned_of(tmp_path / "lists.parquet")] == [THREE, None]


@pytest.mark.parametrize("region", ["", "  ", "NaN", "null", [np.nan] * 8])
def test_an_image_without_a_region_is_off_the_sky(region):
    table = changed()
    table["s_region"] = np.array([None], object)
    table["s_region"][0] = region
    assert planned_of(table)[0].description.corners is None


@pytest.mark.parametrize("serialization", ["tabledata", "binary2"])
def test_a_missing_region_is_off_the_sky_in_files_too(serialization, tmp_path):
    table = sia_table()
    table["s_region"] = MaskedColumn(table["s_region"], mask=[True, *[False] * 5])
    write_votable(table, tmp_path / "masked.vot", serialization)
    assert [file.description.corners is None for file in planned_of(tmp_path / "masked.vot")] == [True, *[False] * 5]


# Interrupted downloads: what is taken is right, and something is said


@pytest.mark.parametrize("path", [M31, IRIS])
def test_wherever_a_csv_is_cut_off_nothing_wrong_is_taken(path, tmp_path):
    text, expected = path.read_text(), planned_of(path)
    second = text.index("\n", text.index("\n") + 1) + 1
    cut = tmp_path / path.name
    for length in range(second, text.index("\n", second)):
        cut.write_text(text[:length])
        planned, failed = read(cut)
        assert planned == expected[: len(planned)]
        assert len(planned) + len(failed) >= 1 + (length > second)


@pytest.mark.parametrize("path", [M31, IRIS])
def test_a_row_cut_off_within_a_csv_does_not_swallow_the_next(path, tmp_path):
    header, first, second, *_ = path.read_text().splitlines(keepends=True)
    expected = planned_of(path)[:2]
    broken = tmp_path / path.name
    for length in range(1, len(first)):
        broken.write_text(header + first[:length] + "\n" + second)
        planned, failed = read(broken)
        assert planned in (expected, expected[1:])
        assert len(planned) + len(failed) == 2


@pytest.mark.parametrize("path", [M31, IRIS])
def test_rows_run_together_are_no_row(path, tmp_path):
    header, first, second, *_ = path.read_text().splitlines(keepends=True)
    (tmp_path / "run.csv").write_text(header + first.rstrip("\n") + second)
    (failed,) = read(tmp_path / "run.csv")[1]
    assert "fields, from '" in failed.reason
    assert failed.reason.endswith("expected 51.")
    assert failed.uri == f"{tmp_path / 'run.csv'}, row 1"


def test_without_a_line_end_the_last_field_may_be_cut_off(tmp_path):
    path = csv_of(caom_table()["uri", "poly", "time_bounds_lower", "time_bounds_upper"], tmp_path / "table.csv")
    path.write_text(path.read_text().rstrip("\n")[:-4])
    planned, failed = read(path)
    assert len(planned) == 5
    assert failed[0].reason == "The file ends within the field '61037.26'; expected an end of the line after it."


def test_columns_after_cloud_access_are_read_where_that_is_quoted_rightly(tmp_path):
    table = sia_table()
    names = [name for name in table.colnames if name != "t_max"]
    path = csv_of(table[[*names, "t_max"]], tmp_path / "table.csv")
    assert planned_of(path) == planned_of(M31)
    path.write_text(path.read_text().replace('"{', "{").replace('}"', "}").replace('""', '"'))
    assert all("fields" in reason for reason in reasons_of(path))


def test_a_quote_without_end_fails_its_row_only(tmp_path):
    lines = M31.read_text().splitlines(keepends=True)
    lines[2] = lines[2].replace("SPHEREx LVF Survey Data", '"SPHEREx LVF Survey Data')
    path = tmp_path / "quote.csv"
    path.write_text("".join(lines) + lines[1] * 400)
    planned, failed = read(path)
    assert len(planned) == 405
    assert len(failed) == 1


def test_a_quote_without_end_far_from_the_next_fails_its_row_only(tmp_path):
    path = csv_of(caom_table(), tmp_path / "quote.csv")
    header, first, *others = path.read_text().splitlines(keepends=True)
    path.write_text(header + first.replace("POLYGON", '"POLYGON') + "".join(others) * 200)
    planned, failed = read(path)
    assert len(planned) == 1000
    assert [file.uri for file in failed] == [f"{path}, row 1"]


@pytest.mark.parametrize("junk", ["x" * 200_000, '"' + "x" * 200_000, '"x\n' + "y" * 200_000])
def test_a_field_without_bounds_fails_its_row_only(junk, tmp_path):
    path = csv_of(caom_table(), tmp_path / "junk.csv")
    header, rows = path.read_text().split("\n", 1)
    path.write_text(f"{header}\n{junk}\n{rows}")
    planned, failed = read(path)
    assert len(planned) == 6
    assert len(failed) == 1 + ("\n" in junk)
    assert "expected 5." in failed[0].reason


def test_a_quoted_field_may_have_several_lines(tmp_path):
    table = sia_table()
    table["proposal_title"] = "SPHEREx\nSurvey"
    assert planned_of(csv_of(table, tmp_path / "lines.csv")) == planned_of(M31)


@pytest.mark.parametrize("serialization", ["tabledata", "binary", "binary2"])
def test_wherever_a_votable_is_cut_off_nothing_wrong_is_taken(serialization, tmp_path):
    whole, cut = tmp_path / "whole.vot", tmp_path / "cut.vot"
    write_votable(caom_table(), whole, serialization)
    data, expected = whole.read_bytes(), planned_of(whole)
    marker = {"tabledata": b"<TABLEDATA>", "binary": b"<STREAM", "binary2": b"<STREAM"}[serialization]
    for length in range(data.index(marker) + 40, len(data) - 10, 23):
        cut.write_bytes(data[:length])
        planned, failed = read(cut)
        assert planned == expected[: len(planned)]
        assert "is damaged or ends too early" in failed[-1].reason


def test_a_compressed_file_cut_off_gives_what_came_before(tmp_path):
    path = tmp_path / "cut.csv.gz"
    packed = gzip.compress(M31.read_bytes() + M31.read_bytes().partition(b"\n")[2] * 300)
    path.write_bytes(packed[: len(packed) // 2])
    planned, failed = read(path)
    assert len(planned) > 6
    assert "The compressed data are damaged or end too early" in failed[-1].reason


def test_files_are_closed_when_reading_ends_early(tmp_path):
    path = tmp_path / "table.csv"
    shutil.copy(M31, path)
    batches = read_archive_table(path, batch_size=1)
    assert len(list(itertools.islice(batches, 2))) == 2
    del batches  # an unclosed file would be a warning, which is an error here


def test_paths_may_be_paths():
    assert planned_of(Path(M31)) == planned_of(M31)
    with pytest.raises(FileNotFoundError):
        list(read_archive_table("no-such-table.csv"))


def test_real_names_are_those_of_the_files():
    assert str(planned_of(M31)[0].name) == FIRST_NAME
