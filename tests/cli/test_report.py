"""``butler spherex report``."""

from __future__ import annotations

from command_line import invoke, run


def test_it_writes_a_page_and_says_so(repo, tmp_path):
    path = tmp_path / "report.html"
    assert run("report", repo, "-o", path).startswith(f"Wrote {path} (")
    assert f"butler spherex ingest {repo} FOLDER" in path.read_text(encoding="utf-8")


def test_it_replaces_nothing_unasked(repo, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("mine")
    assert "exists; give --overwrite to replace it, or another file." in run("report", repo, "-o", path, code=2)
    assert path.read_text() == "mine"
    run("report", repo, "-o", path, "--overwrite")
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_check_is_made_or_read(repo, tmp_path):
    found, first, second = (tmp_path / name for name in ("found.json", "first.html", "second.html"))
    run("report", repo, "-o", first, "--verify")
    run("verify", repo, "--report", found)
    run("report", repo, "-o", second, "--verified", found)
    assert "(checked 20" in first.read_text(encoding="utf-8")
    assert "(read from found.json, which was written 20" in second.read_text(encoding="utf-8")
    said = run("report", repo, "-o", tmp_path / "x.html", "--verify", "--verified", found, code=2)
    assert "give one of them" in said


def test_progress_goes_to_the_standard_error(repo, tmp_path):
    result = invoke("report", repo, "-o", tmp_path / "report.html", "--verify", "--progress")
    assert "Checking planning periods" in result.stderr
    assert result.stdout.startswith("Wrote ")
