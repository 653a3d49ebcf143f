"""Repairs: what is put right stays right, and nothing else is touched."""

from __future__ import annotations

import shutil
import time

import pytest
from damage import damage, dimension_records, found, images, lose_regions, path_of
from http_server import serve
from lsst.daf.butler import Butler, CollectionType
from made_once import new_repo
from one_bad_item import ERRORS, in_header

from spherex_butler.errors import ConfigurationError
from spherex_butler.ingest import ingest_files
from spherex_butler.names import parse_product_name
from spherex_butler.repository.runs import ensure_run
from spherex_butler.verify import Kind, Repair, RepositoryFinding, check_repository, repair


def repaired(butler: Butler) -> list[Repair]:
    return repair(butler, check_repository(butler).findings, complete_chains=True)


def children(butler: Butler, chain: str) -> tuple[str, ...]:
    return tuple(butler.collections.get_info(chain).children)


def test_repository_that_is_well_is_left_alone(butler):
    assert repaired(butler) == []


def test_read_only_repository_is_refused(butler):
    with (
        Butler.from_config(butler._datastore.root) as reader,
        pytest.raises(ConfigurationError, match=r"read-only here; open it with spherex_butler\.open_repo"),
    ):
        repair(reader, [])


def test_lost_region_rows_are_read_from_headers_and_found_on_the_sky(butler):
    def seen() -> int:
        return len(butler.query_datasets("level2", where=f"healpix4 = {pixel}", limit=None, explain=False))

    with butler.query() as query:
        rows = query.data_ids(["exposure", "detector", "healpix4"]).where(instrument="SPHEREx", detector=3)
        pixel = next(iter(rows))["healpix4"]
    before = dimension_records(butler, "exposure_detector_region"), seen()
    lose_regions(butler)
    assert seen() == 0
    (done,) = repaired(butler)
    assert str(done) == "repaired: 2025W51_1A: 12 region rows were inserted."
    assert check_repository(butler).ok
    assert (dimension_records(butler, "exposure_detector_region"), seen()) == before


def test_regions_of_remote_images_stay_away_with_a_reason(archive):
    with new_repo() as butler, serve(archive[0].parent) as served:
        ingest_files(butler, [f"{served.url}/{path.name}" for path in archive[:2]], transfer="direct")
        lose_regions(butler)
        served.requests.clear()
        (left,) = repaired(butler)
        assert served.requests == []
        assert not check_repository(butler).ok
    assert str(left).startswith(
        "not repaired: 2025W51_1A: 0 region rows were inserted; 2 could not be made from header"
    )
    assert "only headers of local files are read" in left.message


def test_region_is_not_made_from_another_images_header(butler):
    first, second = images(butler, exposure=20255110106842)[:2]
    shutil.copy(path_of(butler, second), path_of(butler, first))
    lose_regions(butler, "exposure = 20255110106842 AND detector IN (1, 3)")
    (left,) = repaired(butler)
    assert "1 region row was inserted; 1 could not be made from headers, the first: level2 detector=1" in left.message
    assert "the header is of exposure and detector (20255110106842, 2); expected (20255110106842, 1)" in left.message


def test_second_processing_serves_where_the_file_of_the_first_is_gone(butler, archive, tmp_path):
    again = tmp_path / archive[0].name.replace("v21-2025-354", "v21-2025-360")
    shutil.copy(archive[0], again)
    ingest_files(butler, again, transfer="copy")
    first = butler.find_dataset(
        "level2", instrument="SPHEREx", exposure=20255110106842, detector=1, collections="spx/l2b-v21-2025-354"
    )
    path_of(butler, first).unlink()
    lose_regions(butler, "detector = 1 AND exposure = 20255110106842")
    (done,) = repaired(butler)
    assert done.done
    assert {finding.kind for finding in check_repository(butler).problems} == {Kind.FILE_MISSING}


def leave_runs_unchained(butler: Butler) -> None:
    for run in ("spx/l2b-v27-2026-222", "spx/mine", "spx/cal-drk-v4-2025-161"):
        butler.collections.register(run)


def put_an_old_run_first(butler: Butler) -> None:
    for token in ("l2b-v20-2025-240", "l2b-v21-2025-360"):
        ensure_run(butler, parse_product_name(f"level2_2025W51_1A_0684_2D3_spx_{token}.fits"), "qr2")
    butler.collections.prepend_chain("SPHEREx/qr2", "spx/l2b-v20-2025-240")


@pytest.mark.parametrize(
    ("damage_chains", "finding", "repair_made", "chain"),
    [
        (
            leave_runs_unchained,
            "spx/l2b-v27-2026-222: is in no release's chain, so that searches do not find its images.",
            "repaired: spx/l2b-v27-2026-222: is in the chain of qr3 now.",
            ("SPHEREx/defaults", "SPHEREx/qr3", "SPHEREx/qr2", "SPHEREx/calib"),
        ),
        (
            put_an_old_run_first,
            "SPHEREx/qr2: has spx/l2b-v20-2025-240 where spx/l2b-v21-2025-360 is expected, newest first.",
            "repaired: SPHEREx/qr2: has spx/l2b-v21-2025-360 first of its releases and processings now.",
            ("SPHEREx/qr2", "spx/l2b-v21-2025-360", "spx/l2b-v21-2025-354", "spx/l2b-v20-2025-240"),
        ),
        *(
            (
                lose_members,
                "SPHEREx/defaults: lacks SPHEREx/qr2, SPHEREx/calib; it has no members.",
                "repaired: SPHEREx/defaults: is SPHEREx/qr2, SPHEREx/calib now.",
                ("SPHEREx/defaults", "SPHEREx/qr2", "SPHEREx/calib"),
            )
            for lose_members in (
                lambda butler: butler.collections.redefine_chain("SPHEREx/defaults", []),
                lambda butler: butler.collections.x_remove("SPHEREx/defaults"),
            )
        ),
    ],
)
def test_chains_are_completed_and_ordered(butler, damage_chains, finding, repair_made, chain):
    damage_chains(butler)
    (done,) = repaired(butler)
    assert str(done.finding).partition(": ")[2] == finding
    assert (str(done), done.done) == (repair_made, True)
    assert children(butler, chain[0]) == chain[1:]
    assert check_repository(butler).ok
    assert len(images(butler)) == 12


@pytest.mark.parametrize(
    "take_out",
    [
        lambda butler: butler.collections.remove_from_chain("SPHEREx/qr2", "spx/l2b-v21-2025-354"),
        lambda butler: butler.collections.remove_from_chain("SPHEREx/defaults", "SPHEREx/qr2"),
    ],
)
def test_what_somebody_took_out_of_a_chain_stays_out_unless_asked_for(butler, take_out):
    take_out(butler)
    before = [children(butler, chain) for chain in ("SPHEREx/defaults", "SPHEREx/qr2")]
    (left,) = repair(butler, check_repository(butler).problems)
    assert not left.done
    assert left.message.endswith("--complete-chains puts in what is missing.")
    assert [children(butler, chain) for chain in ("SPHEREx/defaults", "SPHEREx/qr2")] == before
    assert "--fix --complete-chains" in str(check_repository(butler))
    assert all(done.done for done in repaired(butler))
    assert len(images(butler)) == 12


def test_run_in_a_chain_of_its_owner_is_only_noted(butler):
    run = "spx/l2b-v21-2025-354"
    butler.collections.remove_from_chain("SPHEREx/qr2", run)
    butler.collections.register("u/me/retired", CollectionType.CHAINED)
    butler.collections.prepend_chain("u/me/retired", run)
    report = check_repository(butler)
    message = "is in no release's chain, so that searches do not find its images; it is in u/me/retired."
    assert found(report, Kind.RUN_UNCHAINED) == [f"{run}: {message}"]
    assert report.ok
    assert repaired(butler) == []


def test_order_of_a_chain_is_repaired_around_a_collection_of_its_owner(butler):
    put_an_old_run_first(butler)
    butler.collections.register("u/me/mine")
    first, *rest = children(butler, "SPHEREx/qr2")
    butler.collections.redefine_chain("SPHEREx/qr2", [first, "u/me/mine", *rest])
    assert all(done.done for done in repair(butler, check_repository(butler).problems))
    tokens = ("l2b-v21-2025-360", "l2b-v21-2025-354", "l2b-v20-2025-240")
    newest, *older = (f"spx/{token}" for token in tokens)
    assert children(butler, "SPHEREx/qr2") == (newest, "u/me/mine", *older)
    assert check_repository(butler).ok


def test_chains_that_cannot_be_repaired_are_left_alone_with_a_reason(butler):
    butler.collections.register("SPHEREx/qr3", CollectionType.TAGGED)
    butler.collections.register("spx/l2b-v5-2025-100")
    (left,) = repaired(butler)
    assert not left.done
    assert "follows from neither its path nor its token" in left.message
    assert found(check_repository(butler), Kind.COLLECTION_TYPE) == [
        "SPHEREx/qr3: is of type TAGGED; expected CHAINED."
    ]


def test_part_of_a_killed_copy_is_removed_and_nothing_else(butler, monkeypatch):
    folder = path_of(butler, images(butler)[0]).parent
    part, mine = folder / f".{'0' * 32}.part", folder / ".mine.part"
    part.write_text("half")
    mine.write_text("whole")
    before = {path for path in folder.rglob("*") if path != part}
    assert check_repository(butler).ok  # a copy may be at work
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 2 * 86400)
    (done,) = repaired(butler)
    assert str(done) == f"repaired: {part}: was removed."
    assert {*folder.rglob("*")} == before
    assert check_repository(butler).ok


def test_part_that_is_in_use_again_is_left_alone(butler):
    part = path_of(butler, images(butler)[0]).with_name(f".{'0' * 32}.part")
    part.write_text("half")
    (left,) = repair(butler, [RepositoryFinding(Kind.STALE_PART, str(part), "")])
    assert str(left) == f"not repaired: {part}: is gone or in use again; it was left alone."
    assert part.exists()


def test_datasets_without_files_are_left_to_their_owner(butler):
    (ref, *_) = images(butler)
    path_of(butler, ref).unlink()
    damage(butler, "UPDATE file_datastore_records SET file_size = 1 WHERE path LIKE '%3D6%'")
    before = check_repository(butler)
    assert repaired(butler) == []
    assert check_repository(butler) == before
    assert len(images(butler)) == 12


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_header_that_raises_anything_keeps_no_other_region_away(butler, monkeypatch, error):
    spoilt = path_of(butler, images(butler, exposure=20255110106842)[2])
    in_header(monkeypatch, spoilt, error)
    lose_regions(butler)
    (left,) = repaired(butler)
    assert "11 region rows were inserted; 1 could not be made from headers" in left.message
    assert type(error).__name__ in left.message
