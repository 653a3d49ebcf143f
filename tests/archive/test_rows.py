"""What a row says of an image, and what keeps it from being one."""

from __future__ import annotations

import numpy as np
import pytest
from archive_samples import FIRST_KEY, FIRST_NAME, IRIS, M31, ROOT, caom_table, changed, planned_of, read, sia_table
from astropy.table import vstack

from spherex_butler.archive.tables import read_archive_table
from spherex_butler.errors import FormatError, ParameterError
from spherex_butler.ingest import plan_files

DATALINK = "https://irsa.ipac.caltech.edu/datalink/sync?ID=ivo://irsa.ipac/spherex_qr2?2025W51_1A/D3"


def test_a_real_row_says_which_image_where_when_and_of_what():
    first = planned_of(M31)[0]
    assert (first.uri, str(first.name)) == (ROOT + FIRST_KEY, FIRST_NAME)
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


def test_a_row_has_the_fields_that_a_header_has(level2_path):
    ((described,), _) = plan_files(level2_path)
    assert planned_of(M31)[0].description.fields.keys() == described.description.fields.keys()


def test_columns_are_found_in_any_case_and_with_the_name_of_their_table():
    table = caom_table()
    table.rename_columns(["uri", "poly", "time_bounds_lower"], ["artifact.uri", "plane.poly", "TIME_BOUNDS_LOWER"])
    assert planned_of(table) == planned_of(caom_table())


def test_plane_and_artifact_rows_give_the_images_of_the_search():
    found, searched = planned_of(caom_table()), planned_of(M31)
    for ours, theirs in zip(found, searched, strict=True):
        assert (ours.uri, ours.description.corners) == (theirs.uri, theirs.description.corners)
    assert {file.description.fields["target_name"] for file in found} == {None}


def test_uri_is_the_address_where_access_url_is_a_datalink():
    table = sia_table()
    table["uri"] = caom_table()["uri"]
    table["access_url"] = DATALINK
    assert planned_of(table) == planned_of(M31)


def test_a_table_of_datalinks_is_refused_with_the_column_to_add():
    message = (
        r"a DataLink, which names no file and no processing; expected a column uri .*"
        r"SELECT o\.\*, a\.uri FROM spherex\.obscore o JOIN spherex\.plane p"
    )
    with pytest.raises(FormatError, match=message):
        list(read_archive_table(changed(access_url=DATALINK)))


def test_a_datalink_further_down_fails_alone():
    planned, (failed,) = read(vstack([sia_table()[:1], changed(access_url=DATALINK)]))
    assert len(planned) == 1
    assert "a DataLink" in failed.reason


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("access_url", "no uri or access_url"),
        ("s_region", "no s_region or poly"),
        ("t_max", "no t_max or time_bounds_upper"),
    ],
)
def test_missing_columns_are_named_with_those_found(missing, message):
    table = sia_table()
    table.remove_column(missing)
    expected = rf"The table has the columns \['s_ra', .*{message}.*rows of SIA2, with access_url"
    with pytest.raises(FormatError, match=expected):
        list(read_archive_table(table))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"access_url": f"{ROOT}{FIRST_KEY}?center=10.7,41.1d&size=0.01"}, "a part of an image; expected the address"),
        ({"access_url": f"{ROOT}{FIRST_KEY}#1"}, "a part of an image"),
        ({"access_url": ""}, "access_url is ''; expected the address of a file"),
        ({"access_url": f"{ROOT}readme.txt"}, "'readme.txt' is not the name of a SPHEREx product"),
        (
            {"access_url": f"{ROOT}dark_D3_spx_cal-drk-v4-2025-161.fits"},
            "is a 'dark'; expected a 'level2' image. Calibrations are ingested from their files, by butler spherex",
        ),
        ({"obs_id": "2025W51_1A_0684_3"}, "obs_id is '2025W51_1A_0684_3', but the file is of '2025W51_1A_0684_2'"),
        ({"obs_id": "2025W51_1A_0684"}, "obs_id is '2025W51_1A_0684', but the file"),
        ({"energy_bandpassname": "SPHEREx-D4"}, "-D4', but the file is of detector 3; expected 'SPHEREx-D3'"),
        ({"t_min": 61028.0}, "t_min is 61028.0 and t_max 61027.216317; expected the beginning and the end"),
        ({"t_min": 61025.0}, "expected the beginning and the end of one exposure"),
        ({"t_min": np.nan}, "as MJD between 60000 and 80000"),
        ({"t_min": 2461027.2, "t_max": 2461027.3}, "as MJD between 60000 and 80000"),
        ({"t_max": "soon"}, "t_max is 'soon'; expected a number"),
        ({"t_exptime": "long"}, "t_exptime is 'long'; expected a number"),
        ({"obs_collection": "spherex_qr3"}, "is 'spherex_qr3', but the file in 'https://irsa"),
    ],
)
def test_a_row_that_is_no_image_or_contradicts_itself_fails_and_others_go_in(values, message):
    planned, (failed,) = read([changed(**values), sia_table()[1:3]])
    assert len(planned) == 2
    assert failed.uri == (values.get("access_url", ROOT + FIRST_KEY) or "Table 1, row 1")
    assert message in failed.reason


def test_a_row_without_an_address_is_known_by_its_number():
    table = sia_table()
    table["access_url"][4] = ""
    assert [file.uri for file in read(table)[1]] == ["The table, row 5"]


@pytest.mark.parametrize("key", [FIRST_KEY, f"/ibe/data/spherex/{FIRST_KEY}", f"  {ROOT}{FIRST_KEY} "])
def test_blanks_and_a_missing_server_do_not_matter(key):
    assert planned_of(changed(access_url=key))[0].uri == ROOT + FIRST_KEY


def test_the_deep_survey_is_of_the_same_release_and_a_given_release_decides():
    assert planned_of(changed(obs_collection="spherex_qr2_deep"))[0].release == "qr2"
    assert planned_of(changed(obs_collection="spherex_qr3"), release="qr3")[0].release == "qr3"
    with pytest.raises(ParameterError, match="There is no release 'qr9'"):
        read_archive_table(M31, release="qr9")


def test_the_first_release_has_a_name_of_its_own():
    address = f"{ROOT}{FIRST_KEY}".replace("qr2/", "qr/")
    assert planned_of(changed(access_url=address, obs_collection="spherex_qr"))[0].release == "qr1"


@pytest.mark.parametrize("value", ["", " ", np.nan])
def test_an_exposure_time_that_is_not_there_is_unknown(value):
    assert planned_of(changed(t_exptime=value))[0].description.fields["exposure_time"] is None
