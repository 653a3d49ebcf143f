"""``examples/compose.yaml`` starts what the tests start: nothing here runs it, which takes a container engine."""

from __future__ import annotations

import importlib.metadata
import inspect
import json
import tomllib
from pathlib import Path
from typing import Any

import postgres
import pytest
import yaml
from butler_server import serve_repositories, server_environment

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def composed() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "examples/compose.yaml").read_text())


@pytest.fixture
def services(composed) -> dict[str, Any]:
    return composed["services"]


def test_three_services_start_in_order(composed, services):
    assert set(services) == {"postgres", "s3", "butler-server"}
    assert set(services["butler-server"]["depends_on"]) == {"postgres", "s3"}
    mounted = {volume.partition(":")[0] for service in services.values() for volume in service.get("volumes", ())}
    assert mounted == set(composed["volumes"])
    assert [service for service in services.values() if "image" not in service and "build" not in service] == []


def test_database_is_made_as_that_of_the_tests(composed, services):
    arguments = services["postgres"]["environment"]["POSTGRES_INITDB_ARGS"].split()
    assert arguments == ["--encoding=UTF8", "--locale=C"]
    running = inspect.getsource(postgres.running_postgres)
    assert '"-E", "UTF8", "--locale=C"' in running
    assert composed["configs"]["btree_gist"]["content"].startswith("CREATE EXTENSION")
    (mounted,) = services["postgres"]["configs"]
    assert mounted["source"] in composed["configs"]
    assert mounted["target"].startswith("/docker-entrypoint-initdb.d/")
    assert mounted["target"].endswith(".sql")


def test_s3_server_is_that_of_the_tests(services):
    image, _, version = services["s3"]["image"].partition(":")
    assert image == "motoserver/moto"
    assert version.split(".")[:2] == importlib.metadata.version("moto").split(".")[:2]
    port = services["s3"]["environment"]["MOTO_PORT"]
    assert services["butler-server"]["environment"]["S3_ENDPOINT_URL"] == f"http://s3:{port}"


def test_butler_server_is_started_as_in_the_tests(services):
    server = services["butler-server"]
    settings = server["environment"]
    expected = server_environment({"sky": "/repository"})
    names = [name for name in settings if name.startswith("DAF_BUTLER_SERVER_")]
    assert sorted(names) == sorted(expected)
    repositories = "DAF_BUTLER_SERVER_REPOSITORIES"
    assert json.loads(settings[repositories]) == json.loads(expected.pop(repositories))
    assert expected.items() <= settings.items()
    program = "lsst.daf.butler.remote_butler.server:create_app"
    assert program in server["command"]
    assert program in inspect.getsource(serve_repositories)
    assert any(volume.endswith(":/repository") for volume in server["volumes"])


def test_image_installs_the_server_with_a_python_that_has_it(services):
    steps = services["butler-server"]["build"]["dockerfile_inline"]
    assert "FROM python:3.13" in steps
    assert "'spherex-butler[server]'" in steps
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert any("python_version >= '3.13'" in need for need in extras["server"])


def test_only_this_machine_reaches_what_asks_for_no_token(services):
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
