"""A process of dithead's own uses freed memory again, looks for no garbage while it imports, and ends at once."""

from __future__ import annotations

import gc
import platform
import subprocess
import sys

import pytest

from dithead.process_settings import no_garbage_collection

_FAULTS = """
import resource, sys, threading
import numpy as np
from dithead.process_settings import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def work():
    keep = [np.ones(3_000_000, np.uint8) for _ in range(4)]
    before = faults()
    for k in range(40):
        keep[k % 4] = None
        keep[k % 4] = np.ones(3_000_000 + 4096 * (k % 5), np.uint8)
    print(faults() - before)

def work_in_turns():  # more than glibc keeps for a thread
    for turn in range(6):
        if turn == 1:
            before = faults()
        del [np.ones(3_000_000, np.uint8) for _ in range(30)][:]
    print(faults() - before)

if sys.argv[1] == "claimed":
    keep_freed_memory()
if sys.argv[2] == "main":
    work()
else:
    thread = threading.Thread(target=work_in_turns)
    thread.start()
    thread.join()
"""


def run(code: str, *arguments: str) -> str:
    """What a fresh Python prints."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has other settings")
@pytest.mark.parametrize("thread", ["main", "other"])
def test_freed_pictures_are_used_again(thread: str) -> None:
    assert int(run(_FAULTS, "claimed", thread)) < 0.1 * int(run(_FAULTS, "plain", thread))


def test_numpy_computes_on_one_thread_and_garbage_is_rarely_looked_for_in_a_tuned_process() -> None:
    code = """
import gc, sys
from dithead.process_settings import tune_process
if sys.argv[1] == "tuned":
    tune_process()
import numpy as np
from pathlib import Path
np.ones((600, 600)) @ np.ones((600, 600))
print(gc.get_threshold()[0], len(list(Path("/proc/self/task").iterdir())))
"""
    (rarely, threads), (often, more) = (map(int, run(code, kind).split()) for kind in ("tuned", "plain"))
    assert rarely > 10 * often
    assert threads <= more
    if sys.platform == "linux":
        assert threads == 1


def test_collection_comes_back_when_the_last_block_ends() -> None:
    first, second = no_garbage_collection(), no_garbage_collection()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not gc.isenabled(), "another thread is still inside"
    second.__exit__(None, None, None)
    assert gc.isenabled()


def test_collection_stays_off_where_it_was_off() -> None:
    gc.disable()
    try:
        with no_garbage_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


_ENDS = """
import atexit, sys, threading, time
from dithead.process_settings import ends_at_once
threading.Thread(target=time.sleep, args=(600,)).start()
atexit.register(print, "registered")
with ends_at_once():
    print("printed")
    sys.exit(CODE)
"""


@pytest.mark.parametrize(("code", "expected"), [("3", 3), ("", 0), ("None", 0)])
def test_a_process_that_ends_at_once_waits_for_no_thread_and_loses_no_output(code: str, expected: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _ENDS.replace("CODE", code)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == expected
    assert done.stdout.split() == ["printed", "registered"]
