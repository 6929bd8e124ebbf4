"""A process of dithead's own keeps freed memory, puts off what torch needs for compilers, and loses nothing by it."""

from __future__ import annotations

import gc
import platform
import subprocess
import sys

import pytest

from dithead.checkpoint import save_model
from dithead.own_process import no_garbage_collection

_FAULTS = """
import resource, sys
import numpy as np
from dithead.own_process import claim_process
if sys.argv[1] == "claimed":
    claim_process()
keep = [np.ones(3_000_000, np.uint8) for _ in range(4)]
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for k in range(40):
    keep[k % 4] = None
    keep[k % 4] = np.ones(3_000_000 + 4096 * (k % 5), np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
_LAZY = """
import sys
from dithead.own_process import claim_process, load_lazy_parts
claim_process()
import torch
assert "torch._prims" not in sys.modules
load_lazy_parts()
assert "torch._prims" in sys.modules
with torch.device("meta"):
    print(*torch.nn.Conv2d(3, 4, 3)(torch.empty(1, 3, 8, 8)).shape)
"""
_FIRST_USE = """
from dithead.own_process import claim_process
claim_process()
import torch
print(torch._meta_registrations.register_meta.__name__)
"""
_LOAD = """
import sys
from dithead.own_process import claim_process
claim_process()
from dithead.checkpoint import load_model
print(load_model(sys.argv[1]).size)
"""


def run(code: str, *arguments: str) -> str:
    """What a fresh Python prints."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has other settings")
def test_freed_pictures_are_used_again() -> None:
    assert int(run(_FAULTS, "claimed")) < 0.1 * int(run(_FAULTS, "plain"))


def test_what_compilers_need_is_imported_when_it_is_asked_for() -> None:
    assert run(_LAZY) == "1 4 6 6"


def test_whoever_uses_it_gets_it() -> None:
    assert run(_FIRST_USE) == "register_meta"


def test_a_model_folder_is_checked_as_elsewhere(talker, tmp_path) -> None:
    assert run(_LOAD, str(save_model(tmp_path / "own", talker))) == str(talker.size)


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
