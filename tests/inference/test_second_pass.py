"""How the frames of the second pass are divided into batches."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice
from types import SimpleNamespace

import pytest

from dithead.inference.compose.batches import batch_sizes
from dithead.inference.compose.second_pass import seen_batches
from dithead.inference.source.timeline import ScheduledFrame


class Counter:
    """A sampler that only says how many frames it takes."""

    size = 64

    def __init__(self, first: int) -> None:
        self.first = first

    def frames_at_once(self, batch: int, *, first: bool) -> int:
        return self.first if first else batch

    def see(self, *_: object) -> None:
        """Nothing."""


@pytest.mark.parametrize(("first", "size", "length"), [(2, 8, 50), (8, 8, 16), (1, 3, 7), (9, 4, 5)])
def test_the_sizes_of_batches_are_known_before_the_faces_are(first: int, size: int, length: int) -> None:
    frame = SimpleNamespace(time_base=Fraction(1, 25), planes=lambda _: None)
    timeline = [ScheduledFrame(frame, k, k) for k in range(3 * length)]
    analysis = SimpleNamespace(tracklets_at=lambda _: [])
    sampler = Counter(first)
    sizes = [len(part.frames) for part in seen_batches(timeline, analysis, sampler, "yuv420p", size, length)]
    assert sizes == list(islice(batch_sizes(sampler, size, length), len(sizes)))
    assert sum(sizes) == len(timeline)
