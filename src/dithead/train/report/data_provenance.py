"""What a model was trained on, in one sentence for its card: whose footage, under which licence, how much of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from dithead.prepare.dataset import Clip, Dataset
from dithead.train.data.clips import Source


def describe_training_data(sources: Sequence[Source], steps: int, batch: int) -> str:
    """``40000 steps of 48 on GRID (CC BY 4.0): 13 people, 55.2 min; ...``; held-out people are not counted."""
    origins: dict[str, list[Clip]] = defaultdict(list)
    for source in sources:
        for clip in Dataset(source.path).clips("train"):
            origins[f"{clip.source or 'source not stated'} ({clip.licence or 'licence not stated'})"].append(clip)
    return f"{steps} steps of {batch} on " + "; ".join(_told(origin, clips) for origin, clips in origins.items())


def _told(origin: str, clips: Sequence[Clip]) -> str:
    people = len({clip.identity for clip in clips})
    minutes = sum(clip.length / clip.fps for clip in clips) / 60
    return f"{origin}: {people} {'person' if people == 1 else 'people'}, {minutes:.1f} min"
