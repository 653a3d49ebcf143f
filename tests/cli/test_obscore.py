"""``butler spherex create --obscore`` and ``obscore-export``."""

from __future__ import annotations

from archive_samples import M31
from astropy.table import Table
from command_line import invoke, run


def test_table_of_images_is_written_and_nothing_replaced(tmp_path):
    repo, path = tmp_path / "repo", tmp_path / "images.vot"
    run("create", repo, "--obscore")
    run("ingest-archive", repo, M31)
    assert run("obscore-export", repo, "-o", path) == f"Wrote 6 rows to {path}.\n"
    table = Table.read(path)
    assert table["obs_release_date"][0] == "2026-01-27 19:52:50"  # which only a live table keeps
    assert "exists; give --overwrite to replace it" in run("obscore-export", repo, "-o", path, code=2)
    assert run("obscore-export", repo, "-o", path, "--overwrite", "--format", "csv") == f"Wrote 6 rows to {path}.\n"
    assert Table.read(path, format="ascii.csv")["obs_id"].tolist() == table["obs_id"].tolist()


def test_progress_has_the_number_of_images(tmp_path):
    run("create", tmp_path / "repo")
    run("ingest-archive", tmp_path / "repo", M31)
    said = invoke("obscore-export", tmp_path / "repo", "-o", tmp_path / "images.csv", "--progress").stderr
    assert "Writing: 100%" in said
    assert "6/6" in said


def test_name_without_a_format_is_refused(tmp_path):
    run("create", tmp_path / "repo")
    said = run("obscore-export", tmp_path / "repo", "-o", tmp_path / "images.txt", code=1)
    assert "names no known format; expected .vot" in said
    assert "is not a folder; expected one for the table" in run(
        "obscore-export", tmp_path / "repo", "-o", tmp_path / "none" / "images.vot", code=2
    )


def test_dry_run_makes_no_repository(tmp_path):
    assert "Nothing was changed." in run("create", tmp_path / "repo", "--obscore", "--dry-run")
    assert list(tmp_path.iterdir()) == []
