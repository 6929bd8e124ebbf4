"""Measures ``LiveHead``: as fast as it draws, or with speech that comes at its own speed, as from a microphone.

Of speech that comes by the clock it measures how long each frame takes after its speech, from the moment at which the
chunk with the last sample that the frame needs is there, whenever somebody takes it. So neither hearing that runs ahead
nor a chunk that nobody has taken yet makes a frame look early.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dithead.inference.streaming import LiveHead
from dithead.media.audio import read_audio
from dithead.models.audio.mel import SAMPLE_RATE
from dithead.stages import moment

_WARM_UP = 12  # frames that are not counted
_CHUNK = 640  # samples that come at once: 40 ms
LATE = 0.04
"""Seconds after the promised moment from which a frame counts as late: the time of one frame."""


class _Shown(NamedTuple):
    """A frame that was drawn."""

    time: float  # seconds in the speech
    ready: float  # seconds of ``time.perf_counter``
    cpu: float  # seconds of processor time of the process until then


class SpokenChunks:
    """Speech in chunks of 40 ms; iterated once."""

    def __init__(self, wave: NDArray[np.float32], *, paced: bool) -> None:
        """Make chunks of the ``wave`` (n,): where ``paced``, one every 40 ms, else all at once."""
        self.wave, self.paced, self.begun = wave, paced, 0.0

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        self.begun = time.perf_counter()
        for k in range(0, len(self.wave), _CHUNK):
            left = self.begun + k / SAMPLE_RATE - time.perf_counter()
            if self.paced and left > 0:
                time.sleep(left)
            yield self.wave[k : k + _CHUNK]

    def came(self, seconds: float) -> float:
        """Return when (``time.perf_counter``) the chunk with the last sample before ``seconds`` of speech was there."""
        last = math.ceil(seconds * SAMPLE_RATE - 1e-6) - 1
        return self.begun + last // _CHUNK * _CHUNK / SAMPLE_RATE


def measure_live(spec: dict[str, Any]) -> dict[str, Any]:
    """Draw live frames of the video and the speech that ``spec`` names, and return what was measured."""
    head = LiveHead(spec["video"], **{name: spec["options"][name] for name in ("model", "device")})
    chunks = SpokenChunks(read_audio(spec["audio"]), paced=spec["live"] == "paced")
    shown = []
    for frame in head.frames(chunks):
        shown.append(_Shown(frame.time, time.perf_counter(), time.process_time()))
        moment("first frame written")
        del frame
    counted = shown[_WARM_UP:]
    frames = len(counted) - 1
    result = {
        "frames": len(shown),
        "live_frames_per_second": frames / (counted[-1].ready - counted[0].ready),
        "live_core_ms_per_frame": 1e3 * (counted[-1].cpu - counted[0].cpu) / frames,
    }
    return result | (_delays(head, chunks, counted) if chunks.paced else {})


def _delays(head: LiveHead, chunks: SpokenChunks, shown: list[_Shown]) -> dict[str, Any]:
    """How long frames took after the speech that they need, and after that which ``LiveHead.latency`` allows them.

    The last frames are left out: what they need is silence, which comes at once when the speech ends.
    """
    shown = [each for each in shown if (each.time + head.latency) * SAMPLE_RATE <= len(chunks.wave)]  # not the rest
    needed = np.array([each.ready - chunks.came(head.needs(each.time)) for each in shown])
    promised = np.array([each.ready - chunks.came(each.time + head.latency) for each in shown])
    late = float((promised > LATE).mean())
    return {"live_delay_ms": _spread(needed), "live_behind_ms": _spread(promised), "live_late": late}


def _spread(seconds: NDArray[np.float64]) -> dict[str, float]:
    median, high, most = (1e3 * np.quantile(seconds, (0.5, 0.95, 1.0))).tolist()
    return {"median": median, "p95": high, "most": most}
