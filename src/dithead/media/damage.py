"""Puts the nearest good frame in the place of frames that are lost or damaged, so that every frame keeps its time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from dithead.media.presentation import DecodedFrame


@dataclass
class PacketCount:
    """What was read of a stream, to notice a file that ends before its header says."""

    strict: bool = False  # whether a packet that cannot be decoded ends the reading
    failing: bool = False  # whether nothing has been decoded since an error: what is read now is lost, too
    packets: int = 0
    end: float = 0.0  # seconds by the file's clock at which the latest packet ends
    lost: list[int] = field(default_factory=list)  # time stamps of packets that gave an error


def with_damage_replaced(frames: Iterable[Any], count: PacketCount) -> Iterator[DecodedFrame]:
    """Yield decoded ``frames``; the last good one stands in for lost and damaged ones, before it the first good one."""
    good: Any = None
    leading: list[int | None] = []  # time stamps of damaged frames before the first good one
    for frame in frames:
        if good is None and frame.is_corrupt:
            leading.append(frame.pts)
            last_resort = frame
            continue
        if good is None:
            early = [stamp for stamp in count.lost if frame.pts is None or stamp < frame.pts]
            count.lost = count.lost[len(early) :]
            yield from (DecodedFrame(frame, stamp, damaged=True) for stamp in _in_order(leading, early))
        while good is not None and count.lost and frame.pts is not None and count.lost[0] < frame.pts:
            yield DecodedFrame(good, count.lost.pop(0), damaged=True)
        if count.lost and count.lost[0] == frame.pts:
            count.lost.pop(0)
        if frame.is_corrupt:
            yield DecodedFrame(good, frame.pts, damaged=True)
        else:
            good = frame
            yield DecodedFrame(frame, frame.pts)
    if good is None and leading:
        good, count.lost = last_resort, sorted([*count.lost, *(stamp for stamp in leading if stamp is not None)])
    while good is not None and count.lost:
        yield DecodedFrame(good, count.lost.pop(0), damaged=True)


def _in_order(corrupt: list[int | None], lost: list[int]) -> list[int | None]:
    known = sorted({*lost, *(stamp for stamp in corrupt if stamp is not None)})
    return [*(stamp for stamp in corrupt if stamp is None), *known]
