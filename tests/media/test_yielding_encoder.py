"""An encoder's own threads yield to those that feed it, and what cannot be opened says so."""

from __future__ import annotations

import sys
from pathlib import Path

import av
import pytest

from dithead.media.yielding_encoder import open_yielding

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities of threads")


def niceness() -> dict[str, int]:
    stats = {task.name: (task / "stat").read_text("ascii", "replace") for task in Path("/proc/self/task").iterdir()}
    return {task: int(stat.rpartition(")")[2].split()[16]) for task, stat in stats.items()}


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
