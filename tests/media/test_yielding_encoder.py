"""An encoder's own threads yield to those that feed it, and what cannot be opened says so."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import av
import pytest

from dithead.media.yielding_encoder import open_yielding

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities of threads")


def niceness() -> dict[str, int]:
    found = {}
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # a thread of another test that has just ended
            found[task.name] = int((task / "stat").read_text("ascii", "replace").rpartition(")")[2].split()[16])
    return found


def encoder() -> av.CodecContext:
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt, context.framerate = 320, 240, "yuv420p", 25
    context.thread_count = 2
    return context


def test_its_threads_have_a_lower_priority_and_no_other_thread_has() -> None:
    before, context = niceness(), encoder()
    open_yielding(context)
    after = niceness()
    assert {after[task] for task in before if task in after} <= set(before.values())
    new = [after[task] for task in after if task not in before]
    assert new
    assert min(new) > max(before.values())


def test_an_encoder_that_cannot_be_opened_raises_here() -> None:
    context = encoder()
    context.width = 0
    with pytest.raises((av.FFmpegError, ValueError)):
        open_yielding(context)
