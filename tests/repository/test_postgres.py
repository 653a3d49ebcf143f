"""The PostgreSQL server of the tests."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import postgres
import pytest
import sqlalchemy


def test_missing_server_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(postgres, "_DEBIAN", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"no PostgreSQL server here: .*'apt-get install postgresql' on Debian"):
        postgres.server_programs()


def test_server_that_does_not_start_says_why():
    with (
        pytest.raises(RuntimeError, match=r"pg_ctl.* ended with status 1; expected 0\. It said: [\s\S]*shared_buffers"),
        postgres.running_postgres(shared_buffers="nonsense"),
    ):
        pytest.fail("A server with such a setting must not start.")


def test_server_takes_settings_and_makes_databases():
    with postgres.running_postgres(work_mem="17MB") as url:
        assert postgres.new_database(url) != url
        engine = sqlalchemy.create_engine(url)
        with engine.connect() as connection:
            assert connection.execute(sqlalchemy.text("SHOW work_mem")).scalar() == "17MB"
        engine.dispose()


def test_server_ends_with_the_process_that_runs_it():
    script = """
import os, signal
from postgres import running_postgres
with running_postgres() as url:
    print(url, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    environment = os.environ | {"PYTHONPATH": str(Path(postgres.__file__).parent)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    folder = Path(sqlalchemy.make_url(done.stdout.strip()).query["host"])
    until = time.monotonic() + 30
    while (folder / "data" / "postmaster.pid").exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert not (folder / "data" / "postmaster.pid").exists()
    shutil.rmtree(folder)
