"""Describes the data that a model was trained on, in one sentence for its card: sources, licences, people, minutes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from dithead.prepare.dataset import Clip
from dithead.train.data.clips import DataSource


def describe_training_data(sources: Sequence[DataSource], steps: int, batch: int) -> str:
    """Describe the training data, as ``40000 steps of 48 on GRID (CC BY 4.0): 13 people, 55.2 min; ...``.

    Args:
        sources: The datasets; held-out people are not counted.
        steps: Steps of the training.
        batch: Rows of a batch.
    """
    by_origin: dict[str, list[Clip]] = defaultdict(list)
    for source in sources:
        for clip in source.clips("train"):
            by_origin[f"{clip.source or 'source not stated'} ({clip.licence or 'licence not stated'})"].append(clip)
    return f"{steps} steps of {batch} on " + "; ".join(_summary(origin, clips) for origin, clips in by_origin.items())


def _summary(origin: str, clips: Sequence[Clip]) -> str:
    people = len({clip.identity for clip in clips})
    minutes = sum(clip.length / clip.fps for clip in clips) / 60
    return f"{origin}: {people} {'person' if people == 1 else 'people'}, {minutes:.1f} min"
