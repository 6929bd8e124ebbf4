"""The frames of stage one from shards too many to hold: read as they come, in an order that a run can resume in.

A row's clip depends on its place in the whole training (step times batch plus row) and the seed; so does the epoch.
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
from dithead.train.data.clips import ClipFrames, Mixture, Source, WeightedClip, load_frames, pick_two_frames
from dithead.train.data.damaged_clips import Damaged

_KEEP = 256  # decoded clips in memory


class FrameStream:
    """Frames of sharded datasets. Clips come in the shards' shuffled order, so people count by their footage."""

    def __init__(self, sources: Sequence[Source], split: str, seed: int = 0, places: int = 1) -> None:
        """``places`` is how many rows the whole training has."""
        self.seed, self._places = seed, places
        self.sources = [_Packed(Dataset(source.path), split) for source in sources]
        ends = [source.weight if source.final is None else source.final for source in sources]
        self._mixture = Mixture([source.weight for source in sources], ends)
        self._damaged = Damaged(sum(len(source.clips) for source in self.sources))
        self._recent: OrderedDict[str, ClipFrames | None] = OrderedDict()
        self._lock = Lock()

    def pick(self, rng: np.random.Generator, place: int = 0) -> tuple[ClipFrames, int, int]:
        """The clip at ``place`` of the training, a target frame and another one as reference.

        A clip in a damaged shard, or with a single frame, is passed over for the next one.
        """
        source = self.sources[self._mixture.pick(rng, place / self._places)]
        for further in range(2 * len(source.clips)):  # any two epochs in a row hold every clip
            frames = self._frames(source.at(place + further, self.seed))
            if frames is not None and len(frames.crops) > 1:
                return frames, *pick_two_frames(frames, rng)
        raise DataError(f"{source.name}: no clip has two usable frames; stage one needs a frame and a reference")

    def _frames(self, clip: Clip) -> ClipFrames | None:
        key = f"{clip.dataset}/{clip.id}"
        with self._lock:
            if key in self._recent:
                self._recent.move_to_end(key)
                return self._recent[key]
        whole = WeightedClip(clip, 1.0, 1.0, slice(0, clip.length), 1)
        frames = self._damaged.read(clip, lambda: load_frames(whole))
        with self._lock:
            self._recent[key] = frames
            while len(self._recent) > _KEEP:
                self._recent.popitem(last=False)
        return frames


class _Packed:
    """One sharded dataset and its order."""

    def __init__(self, dataset: Dataset, split: str) -> None:
        self.name, self.clips = dataset.path, dataset.clips(split)
        if not self.clips:
            raise DataError(f"no clip of split '{split}' in: {dataset.path}")
        self._shards: dict[str, list[int]] = {}
        for number, clip in enumerate(self.clips):
            self._shards.setdefault(clip.shard, []).append(number)

    def at(self, place: int, seed: int) -> Clip:
        """The clip at ``place`` of a training that goes over all clips again and again."""
        epoch, within = divmod(place, len(self.clips))
        return self.clips[self._order(seed, epoch)[within]]

    @lru_cache(maxsize=4)  # noqa: B019 - lives as long as the training
    def _order(self, seed: int, epoch: int) -> list[int]:
        return list(shuffled(self._shards, seed, epoch))


def is_sharded(sources: Sequence[Source]) -> bool:
    """True when every source is packed: then frames are read as they come."""
    return all(isinstance(Dataset(source.path).home, ShardStore) for source in sources)
