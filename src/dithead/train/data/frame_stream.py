"""Stream the autoencoder's frames from shards too large for memory, in an order in which a run can resume.

A row's clip depends on its place in the whole training (step times batch plus row) and on the seed; so does the epoch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from threading import Lock

import numpy as np

from dithead.errors import DataError
from dithead.prepare.dataset import Clip, Dataset
from dithead.prepare.shards import ShardStore, shuffled
from dithead.train.data.clips import (
    ClipFrames,
    DataSource,
    Hear,
    Mixture,
    WeightedClip,
    load_frames,
    pick_two_frames,
)
from dithead.train.data.damaged_clips import DamagedClips

_CACHED_CLIPS = 256  # decoded clips that stay in memory; our choice


class FrameStream:
    """Frames of sharded datasets. Clips come in the shards' shuffled order, so people count by their footage."""

    def __init__(
        self, sources: Sequence[DataSource], split: str, seed: int = 0, places: int = 1, hear: Hear | None = None
    ) -> None:
        """Open the datasets.

        Args:
            sources: Sharded datasets.
            split: "train" or "val".
            seed: Of the clips' order.
            places: Rows of the whole training, over which the mixture changes.
            hear: Computes the frames' speech, where it is needed.

        Raises:
            DataError: A dataset has no clip of ``split``.
        """
        self.seed, self._places, self._hear = seed, places, hear
        self.sources = [_ShardedClips(source, split) for source in sources]
        self._mixture = Mixture([source.weight for source in sources], [source.last_weight for source in sources])
        self._damaged = DamagedClips(sum(len(source.clips) for source in self.sources))
        self._recent: OrderedDict[str, ClipFrames | None] = OrderedDict()
        self._lock = Lock()

    def pick(self, rng: np.random.Generator, place: int = 0) -> tuple[ClipFrames, int, int]:
        """Return the clip at ``place`` of the training, a target frame and another one as reference.

        A clip in a damaged shard, or with a single frame, is replaced by the next one.

        Raises:
            DataError: No clip has two usable frames.
        """
        source = self.sources[self._mixture.pick(rng, place / self._places)]
        for skipped in range(2 * len(source.clips)):  # any two epochs in a row hold every clip
            frames = self._frames(source.at(place + skipped, self.seed))
            if frames is not None and len(frames.crops) > 1:
                return frames, *pick_two_frames(frames, rng)
        raise DataError(
            f"{source.name}: no clip has two usable frames; the autoencoder needs a frame and a reference frame"
        )

    def _frames(self, clip: Clip) -> ClipFrames | None:
        key = clip.cache_name
        with self._lock:
            if key in self._recent:
                self._recent.move_to_end(key)
                return self._recent[key]
        whole = WeightedClip(clip, 1.0, 1.0, slice(0, clip.length), 1)
        frames = self._damaged.read(clip, lambda: load_frames(whole, self._hear))
        with self._lock:
            self._recent[key] = frames
            while len(self._recent) > _CACHED_CLIPS:
                self._recent.popitem(last=False)
        return frames


class _ShardedClips:
    """The clips of one sharded dataset and their order."""

    def __init__(self, source: DataSource, split: str) -> None:
        self.name, self.clips = str(source.path), source.clips(split)
        if not self.clips:
            raise DataError(f"no clip of split '{split}' in: {source.path}")
        self._shards: dict[str, list[int]] = {}
        for number, clip in enumerate(self.clips):
            self._shards.setdefault(clip.shard, []).append(number)

    def at(self, place: int, seed: int) -> Clip:
        """Return the clip at ``place`` of a training that goes over all clips again and again."""
        epoch, within = divmod(place, len(self.clips))
        return self.clips[self._order(seed, epoch)[within]]

    @lru_cache(maxsize=4)  # noqa: B019 - lives as long as the training
    def _order(self, seed: int, epoch: int) -> list[int]:
        return list(shuffled(self._shards, seed, epoch))


def is_sharded(sources: Sequence[DataSource]) -> bool:
    """Return True when every source is sharded: then frames are streamed instead of loaded."""
    return all(isinstance(Dataset(source.path).home, ShardStore) for source in sources)
