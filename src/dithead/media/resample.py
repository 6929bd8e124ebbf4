"""Changes the sample rate of mono sound that comes in pieces. Letters: n samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import av
import numpy as np

from dithead.types import Wave


class Resampler:
    """Changes one stream's rate; the first sample out is the moment of the first one in."""

    def __init__(self, source: int, target: int) -> None:
        """Begin a stream; rates in hertz."""
        self.source = source
        self._resampler = None if source == target else av.AudioResampler("fltp", "mono", target)

    def push(self, wave: Wave) -> Wave:
        """Take samples (n,), and return those that are certain."""
        if self._resampler is None or not len(wave):
            return wave
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave[None], np.float32), "fltp", "mono")
        frame.sample_rate = self.source
        made = [out.to_ndarray()[0] for out in self._resampler.resample(frame)]
        return np.concatenate(made) if made else np.zeros(0, np.float32)

    def blocks(self, waves: Iterable[Wave]) -> Iterator[Wave]:
        """Yield the new samples of each piece that has some."""
        for wave in waves:
            if len(new := self.push(wave)):
                yield new
