"""Mixes several sound files into one track in constant memory, and measures and sets its loudness (EBU R128).

The sum, the measurement and the limiter are FFmpeg's filters. Letters: n samples, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from dithead.errors import MediaError
from dithead.media.audio import audio_blocks
from dithead.media.files import printable
from dithead.media.sound_header import default_layout, most_channels, sound_header

_CEILING_DB = -1.0  # dBFS that the limiter lets through: EBU R128 asks for a true peak of at most -1 dBTP
_BLOCK = 4096  # samples pushed through a filter at once
_SILENT = -70.0  # LUFS of the absolute gate of EBU R128: softer sound has no loudness

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class SoundLayer:
    """One file of a mix."""

    path: Path
    gain: float = 0.0  # decibels
    start: float = 0.0  # seconds of the file that are left out at its beginning

    def blocks(self, rate: int, channels: int) -> Iterator[Samples]:
        """Yield blocks (n, C) of the layer at a sample rate."""
        skip = round(self.start * rate)
        factor = np.float32(10 ** (self.gain / 20))
        for block in audio_blocks(self.path, rate, channels):
            yield block[min(skip, len(block)) :] * factor
            skip = max(0, skip - len(block))


@dataclass(frozen=True)
class SoundMix:
    """The sum of some layers, all of which begin together; it never clips, because a limiter holds its peaks.

    Args:
        layers: What is heard at once; the first one is the speech.
        loudness: Integrated loudness in LUFS that the mix is given; None leaves it as it is.
    """

    layers: tuple[SoundLayer, ...]
    loudness: float | None = None

    @cached_property
    def rate(self) -> int:
        """Hertz: the highest sample rate of a layer."""
        return max(sound_header(layer.path).rate for layer in self.layers)

    @cached_property
    def layout(self) -> str:
        """FFmpeg's name of the channels: those of the layer that has most."""
        return most_channels([sound_header(layer.path).layout for layer in self.layers])

    def blocks(self, rate: int, channels: int) -> Iterator[Samples]:
        """Yield blocks (n, C) of the finished mix."""
        gain = 0.0
        if self.loudness is not None:
            level = loudness_of_blocks(self._summed(rate, channels), rate, channels)
            gain = 0.0 if level is None else self.loudness - level
        ceiling = 10 ** (_CEILING_DB / 20)
        limiter = [
            ("volume", f"{gain:.3f}dB"),
            ("alimiter", f"limit={ceiling:.4f}:level=false:latency=true"),
            ("aformat", "sample_fmts=fltp"),  # the limiter puts the channels into one row, the planar format does not
        ]
        for frame in _filtered(self._summed(rate, channels), limiter, rate, channels):
            yield np.ascontiguousarray(frame.to_ndarray().T, np.float32)

    def _summed(self, rate: int, channels: int) -> Iterator[Samples]:
        queues = [_Queue(layer.blocks(rate, channels), channels) for layer in self.layers]
        while any(queue.has_more() for queue in queues):
            parts = [queue.take(_BLOCK) for queue in queues]
            total = np.zeros((max(map(len, parts)), channels), np.float32)
            for part in parts:
                total[: len(part)] += part
            yield total


class _Queue:
    """Takes pieces of any length from blocks (n, C)."""

    def __init__(self, blocks: Iterator[Samples], channels: int) -> None:
        self._blocks, self._rest = blocks, np.zeros((0, channels), np.float32)

    def has_more(self) -> bool:
        while not len(self._rest) and (block := next(self._blocks, None)) is not None:
            self._rest = block
        return bool(len(self._rest))

    def take(self, count: int) -> Samples:
        while len(self._rest) < count and (block := next(self._blocks, None)) is not None:
            self._rest = np.concatenate([self._rest, block])
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken


def file_loudness(path: Path) -> float:
    """Return the integrated loudness of a file's sound in LUFS (EBU R128).

    Raises:
        MediaError: It has no sound, or nothing in it is loud enough to be measured.
    """
    header = sound_header(path)
    rate, channels = header.rate, min(header.channels, 2)
    level = loudness_of_blocks(audio_blocks(path, rate, channels), rate, channels)
    if level is None:
        raise MediaError(f"{printable(path)}: its sound is silent, so it has no loudness; give a number of LUFS")
    return level


def loudness_of_blocks(blocks: Iterator[Samples], rate: int, channels: int) -> float | None:
    """Return the integrated loudness in LUFS of blocks (n, C); None where they are silent or shorter than 0.4 s."""
    level = _SILENT
    for frame in _filtered(blocks, [("ebur128", "metadata=1:framelog=quiet")], rate, channels):
        level = float(frame.metadata.get("lavfi.r128.I", level))
    return level if level > _SILENT and np.isfinite(level) else None


def _filtered(blocks: Iterator[Samples], filters: Sequence[tuple[str, str]], rate: int, channels: int) -> Iterator[Any]:
    """Push blocks (n, C) through filters of FFmpeg and yield the frames that come out."""
    layout = default_layout(channels)
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=rate, format="fltp", layout=layout)
    chain = [source, *(graph.add(name, arguments) for name, arguments in filters), graph.add("abuffersink")]
    for one, other in pairwise(chain):
        one.link_to(other)
    graph.configure()
    pts = 0
    for block in blocks:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block.T), "fltp", layout)
        frame.sample_rate, frame.pts = rate, pts
        pts += len(block)
        graph.push(frame)
        yield from _pulled(graph.pull)
    graph.push(None)
    yield from _pulled(graph.pull)


def _pulled(pull: Callable[[], Any]) -> Iterator[Any]:
    while True:
        try:
            frame = pull()
        except (av.BlockingIOError, av.EOFError):
            return
        yield frame
