"""A process of dithead's own uses freed memory again, looks for no garbage while it imports, and ends at once."""

from __future__ import annotations

import gc
import platform
import subprocess
import sys

import pytest

from dithead.process_settings import no_garbage_collection

_FAULTS = """
import resource, sys
import numpy as np
from dithead.process_settings import keep_freed_memory
if sys.argv[1] == "claimed":
    keep_freed_memory()
keep = [np.ones(3_000_000, np.uint8) for _ in range(4)]
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for k in range(40):
    keep[k % 4] = None
    keep[k % 4] = np.ones(3_000_000 + 4096 * (k % 5), np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def run(code: str, *arguments: str) -> str:
    """What a fresh Python prints."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has other settings")
def test_freed_pictures_are_used_again() -> None:
    assert int(run(_FAULTS, "claimed")) < 0.1 * int(run(_FAULTS, "plain"))


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
