"""The code blocks of every page run as they stand, from its top to its bottom, in an empty folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from butler_server import needs_server
from page_blocks import PAGES, SOURCE, Block, blocks_of
from page_session import SHELLS, Reader
from prepared import prepared_programs
from s3_server import serve_bucket
from stand_ins import NETWORK, stand_ins

HERE = Path(__file__).parent

NOT_RUN = {
    "README.md": [
        "pip install spherex-butler            # formatters, repositories, ingest of local files",
        "make demo   # simulate a small survey, ingest, query, read and derive; look at demo-output/quick-look.png",
    ],
    "docs/how-to/export.md": [
        "butler spherex create shared --database postgresql://db.example.org:5432/spherex --datastore-root s3://my-bucket/sky"
    ],
    "docs/how-to/operations.md": [
        "-- save as roles.sql, and run: psql -v ON_ERROR_STOP=1 -f roles.sql",
        "mkdir -p ~/.lsst && touch ~/.lsst/db-auth.yaml && chmod 600 ~/.lsst/db-auth.yaml",
        "-- save as schemas.sql, and run as administrator: psql -v ON_ERROR_STOP=1 -d spherex -f schemas.sql",
        "-- save as connections.sql, and run as administrator: psql -f connections.sql",
        "pg_dump -h db.example.org -U postgres --format custom --file registry.dump spherex",
    ],
    "docs/how-to/pipelines.md": ["pip install 'spherex-butler[pipelines]'"],
    "docs/how-to/remote-butler.md": [
        "pip install 'spherex-butler[server]'   # where the server runs: Python 3.13 or newer",
        "# /etc/nginx/conf.d/butler.conf",
    ],
    "docs/how-to/scale-out.md": [
        "pip install 'spherex-butler[pipelines]'   # bps and Parsl",
        "pipetask --log-level ERROR run -b repo -p short.yaml -i SPHEREx/defaults,u/me/catalog -o u/me/spectra \\",
    ],
    "docs/index.md": ["pip install 'spherex-butler[https]'"],
    "docs/reference/commands.md": ["_SPHEREX_BUTLER_COMPLETE=fish_source spherex-butler | source"],
    "docs/tutorials/first-repository.md": ["pip install 'spherex-butler[plot]'"],
    "docs/tutorials/your-own-pipeline.md": [
        "pip install 'spherex-butler[pipelines]'",
        "pip install --editable ./own-pipeline",
    ],
}
"""Of the pages with blocks that no test can run: the first line of each of these. Such a block needs a reason."""

NAMES = {str(page.relative_to(SOURCE)): page for page in PAGES if blocks_of(page)}


@pytest.fixture(scope="module")
def programs() -> Iterator[Path]:
    with prepared_programs(PYTHONPATH=f"{SOURCE}:{NETWORK}:{HERE}:{HERE.parent}") as folder:
        yield folder


@contextlib.contextmanager
def reading(folder: Path, programs: Path, code: str) -> Iterator[Reader]:
    """Return the reader of a page in an empty folder: of Butler's variables nothing is set."""
    for name in ("home", "notes", "reader"):
        (folder / name).mkdir()
    with contextlib.ExitStack() as servers:
        network = servers.enter_context(stand_ins(folder / "network"))
        if "s3://" in code:
            servers.enter_context(serve_bucket("my-bucket"))  # which sets the variables that lead there
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DAF_BUTLER", "LSST_"))}
        own = {
            "HOME": str(folder / "home"),
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),  # matplotlib's fonts
            "MPLBACKEND": "agg",
            "PATH": os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": f"{SOURCE}:{NETWORK}:{SOURCE / 'examples' / 'own-pipeline'}",  # which a page would install
        }
        yield servers.enter_context(Reader(folder / "reader", kept | network | own, folder / "notes"))


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=needs_server if name.endswith("remote-butler.md") else ()) for name in sorted(NAMES)],
)
def test_blocks_run_as_they_stand(name, programs, tmp_path):
    blocks = [block for block in blocks_of(NAMES[name]) if not block.not_run]
    code = "".join(block.code for block in blocks)
    if "curl " in code and not shutil.which("curl"):
        pytest.skip("the page uses curl, which is not installed")
    with reading(tmp_path, programs, code) as reader:
        for block in blocks:
            reader.follow(block)


def follow(reader: Reader, *blocks: tuple[str, str]) -> None:
    for number, (language, code) in enumerate(blocks):
        reader.follow(Block("docs/invented.md", 10 * number, language, code))


def test_reader_has_one_shell_and_one_python_session(programs, tmp_path):
    with reading(tmp_path, programs, "") as reader:
        follow(
            reader,
            ("sh", "mkdir sub && cd sub\nNAME=one\nexport EXPORTED=two\n"),
            ("python", "import os\nfound = os.environ['EXPORTED'], os.path.basename(os.getcwd())\n"),
            ("sh", "echo $NAME\n"),
            ("text", "one\n"),
            ("python", "print(*found, 'and a lot more')\n"),
            ("text", "two sub … more\n"),
        )


def test_file_is_saved_and_changed(programs, tmp_path):
    with reading(tmp_path, programs, "") as reader:
        follow(
            reader,
            ("yaml", "# made/new.yaml\nouter: {one: 1, more: [2, 3]}\n"),
            ("yaml", "# in made/new.yaml\nouter:\n  more: [4]\n"),
            ("python", "# own.py\nVALUE = 5\n"),
            ("python", "import own, yaml\nprint(yaml.safe_load(open('made/new.yaml')), own.VALUE)\n"),
            ("text", "{'outer': {'more': [4], 'one': 1}} 5\n"),
        )


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        ([("sh", "false\ntrue\n")], r"docs/invented\.md:0 failed"),
        ([("sh", "echo before\nbutler spherex verify nowhere\n")], r"(?s)before.*nowhere"),
        ([("sh", "echo one | grep two | cat\n")], "failed"),
        ([("python", "x = 1\n"), ("python", "\n1 / (x - 1)\n")], r"(?s):10 failed.*line 11.*ZeroDivisionError"),
        ([("python", "import warnings\nwarnings.warn('old')\n")], "UserWarning: old"),
        ([("python", "raise SystemExit\n")], "SystemExit"),
        ([("sh", "echo one two\n"), ("text", "one\n")], "(?s)shows\none\nbut printed is\none two"),
        ([("sh", "echo one two\n"), ("text", "one … three\n")], "but printed is"),
        ([("yaml", "# in absent.yaml\na: 1\n")], "there is no absent.yaml"),
        ([("yaml", "a: 1\n")], "'yaml' names no file"),
        (
            [("python", "import socket\nsocket.create_connection(('example.org', 443))\n")],
            "example.org has no stand-in",
        ),
    ],
)
def test_block_that_does_not_work_is_told(blocks, said, programs, tmp_path):
    with reading(tmp_path, programs, "") as reader, pytest.raises(AssertionError, match=said):
        follow(reader, *blocks)


def test_blocks_that_are_not_run_are_few():
    left_out = {
        name: [block.code.partition("\n")[0] for block in blocks_of(page) if block.not_run]
        for name, page in NAMES.items()
    }
    assert {name: lines for name, lines in left_out.items() if lines} == NOT_RUN


def test_every_block_is_for_something():
    known = {*SHELLS, "python", "text"}
    for page in PAGES:
        for block in blocks_of(page):
            assert block.not_run or block.file or block.language in known, f"{block.place}: {block.language!r}"
