"""Ingest as a dry run: what would be done is told, and nothing is changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from lsst.daf.butler import Butler

from spherex_butler.ingest import ingest_files
from spherex_butler.ingest.preview import preview_ingest
from spherex_butler.testing import write_level2


def state(*folders: Path) -> dict[str, tuple[int, int, int]]:
    """Return all there is in folders, and when it was changed."""
    paths = [path for folder in folders for path in [folder, *folder.rglob("*")]]
    return {str(path): ((status := path.lstat()).st_ino, status.st_size, status.st_mtime_ns) for path in paths}


@pytest.mark.parametrize("transfer", ["copy", "move", "link", "direct"])
def test_nothing_is_changed(butler, files, transfer):
    root = Path(butler._datastore.root.ospath)
    before = state(root, files[0].parent)
    preview = preview_ingest(butler, files[0].parent, transfer=transfer)
    assert preview.summary.endswith("6 to ingest, 0 already there, 0 would fail; nothing was changed")
    assert state(root, files[0].parent) == before
    assert butler.collections.query("spx/*") == []


def test_plan_tells_runs_and_what_is_there(butler, files, tmp_path):
    ingest_files(butler, files[:4])
    other = write_level2(tmp_path, detector=3, size=16, token="l2b-v27-2026-222")
    preview = preview_ingest(butler, [*files, other])
    assert str(preview).splitlines() == [
        "qr2 spx/l2b-v21-2025-354: 2 to ingest, 4 already there",
        "qr3 spx/l2b-v27-2026-222: 1 to ingest, 0 already there",
        "3 to ingest, 4 already there, 0 would fail; nothing was changed",
    ]
    assert preview.to_dict()["runs"][0] == {
        "release": "qr2",
        "run": "spx/l2b-v21-2025-354",
        "ingested": 2,
        "skipped": 4,
    }
    report = ingest_files(butler, [*files, other])
    assert (len(report.ingested), len(report.skipped)) == (3, 4)


def test_what_would_fail_is_told_as_ingest_tells_it(butler, files, unregistered_target):
    unregistered_target(files[0]).write_text("precious")
    os.truncate(files[1], 1000)
    files[2].unlink()
    files[2].symlink_to("nothing")
    preview = preview_ingest(butler, files[0].parent, transfer="copy")
    report = ingest_files(butler, files[0].parent, transfer="copy")
    assert len(preview.failed) == 3
    assert preview.summary.endswith("3 to ingest, 0 already there, 3 would fail; nothing was changed")
    assert sorted(map(str, preview.failed)) == sorted(map(str, report.failed))
    assert preview.to_dict()["failed"][0].keys() == {"uri", "reason"}


def test_same_image_in_two_batches_counts_once(butler, files):
    preview = preview_ingest(butler, [files[0], files[1], files[0]], batch_size=1)
    assert preview.summary.endswith("2 to ingest, 1 already there, 0 would fail; nothing was changed")


def test_read_only_repository_will_do(butler, files):
    with Butler.from_config(butler._datastore.root, writeable=False) as reader:
        assert preview_ingest(reader, files).runs["qr2", "spx/l2b-v21-2025-354"].ingested == 6
