import os
import signal
import sys
import time

import pytest

from spherex_butler.errors import ConfigurationError, FormatError
from spherex_butler.files.failures import FailedFile
from spherex_butler.ingest.processes import ReadingProcesses, in_another_process


def counting(stop):
    yield from ((number, os.getpid()) for number in range(stop))


def failing(stop):
    yield from range(stop)
    raise FormatError("the fourth is no number; expected one.")


def dying(stop):
    yield from range(stop)
    time.sleep(0.1)
    os._exit(9)


def test_items_come_in_order_from_one_other_process():
    items = list(in_another_process(counting, 20))
    assert [number for number, _ in items] == list(range(20))
    assert len({process for _, process in items}) == 1
    assert items[0][1] != os.getpid()


def test_an_error_comes_after_the_items_before_it():
    items = in_another_process(failing, 3)
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(FormatError, match="the fourth is no number"):
        next(items)


def test_two_generators_do_not_mix():
    first, second = in_another_process(counting, 3), in_another_process(counting, 5)
    assert [item[0] for pair in zip(first, second, strict=False) for item in pair] == [0, 0, 1, 1, 2, 2]


def test_the_end_of_the_other_process_is_an_error():
    with pytest.raises(ConfigurationError, match=r"ended by the system or by a crash.*processes=1 reads in this"):
        list(in_another_process(dying, 2))


def test_who_takes_no_more_leaves_no_process():
    items = in_another_process(counting, 1000)
    number, process = next(items)
    items.close()
    assert number == 0
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def reading(uris, deadly):
    for uri in uris:
        if uri == deadly:
            os.kill(os.getpid(), signal.SIGKILL)
    return [uri.upper() for uri in uris]


def test_a_file_that_ends_the_process_fails_alone():
    chunks = [["a", "b", "c"], ["d", "e"], ["f"]]
    with ReadingProcesses(2) as processes:
        results = [processes.submit(reading, chunk, "b") for chunk in chunks]
        found = [item for result in results for item in result()]
        later = processes.submit(reading, ["g"], "b")()
    assert [item for item in found if isinstance(item, str)] == ["A", "C", "D", "E", "F"]
    (failure,) = [item for item in found if isinstance(item, FailedFile)]
    assert failure.uri == "b"
    assert "was ended by the system or by a crash" in failure.reason
    assert later == ["G"]


def test_processes_that_cannot_start_are_no_files_fault(run_clean, tmp_path):
    script = tmp_path / "unguarded.py"
    script.write_text(
        "from spherex_butler.ingest.plan import read_local\n"
        "from spherex_butler.ingest.processes import ReadingProcesses\n"
        "with ReadingProcesses(1) as processes:\n"
        "    processes.submit(read_local, ['file:///nothing'], None)()\n"
    )
    said = run_clean(sys.executable, str(script), code=1)
    assert "ConfigurationError: Other processes cannot be started." in said
