"""Prints what a sync expert finds in prepared datasets: the tables of docs/results/sync-experts.md.

    python experiments/sync_offsets.py DATASET[:val] ... [--expert sync.safetensors]
    python experiments/sync_offsets.py DATASET --windows CLIP       # is a clip late everywhere alike?

The sound of every clip is moved by -5 to 5 frames; a shift counts as found when it adds to the offset that the clip
has by itself (``--zero``: to none), to one frame and exactly. Confidence is set beside that in the next clip's sound.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from dithead.critics.sync_expert import MAX_OFFSET, SyncExpert
from dithead.critics.sync_offset import (
    as_input,
    lip_centre,
    load_expert,
    mouth_pictures,
    offset_of_mouths,
    shipped_expert,
    speech_of,
)
from dithead.evaluate.report import table
from dithead.prepare.dataset import Clip, Dataset
from dithead.types import Wave

RATE, SHIFTS = 16000, range(-5, 6)


def moved(wave: Wave, frames: int) -> Wave:
    n = frames * RATE // 25
    return np.pad(wave, (n, 0))[: len(wave)] if n >= 0 else np.pad(wave[-n:], (0, -n))


def numbers(clips: list[Clip], expert: SyncExpert, zero: bool) -> list[str]:
    near, exact, sure, strange, own = [], [], [], [], []
    for clip, other in zip(clips, clips[1:] + clips[:1], strict=True):
        mouths = mouth_pictures(clip.frames(), lip_centre(clip.track().landmarks), expert.config.side)
        wave = clip.audio()
        at_home = offset_of_mouths(mouths, wave, expert)
        own.append(at_home.frames)
        sure.append(at_home.confidence)
        strange.append(offset_of_mouths(mouths, np.resize(other.audio(), len(wave)), expert).confidence)
        for k in SHIFTS:
            wrong = offset_of_mouths(mouths, moved(wave, k), expert).frames - k - (0 if zero else at_home.frames)
            near.append(abs(wrong) <= 1)
            exact.append(wrong == 0)
        print(
            f"  {clip.id}: {at_home.frames} ({at_home.confidence:.3f}; another's sound {strange[-1]:.3f})", flush=True
        )
    away = sum(k != 0 for k in own)
    low, high = np.quantile(sure, 0.1), np.quantile(strange, 0.9)
    return [str(len(clips)), f"{np.mean(near):.2f}", f"{np.mean(exact):.2f}", f"{np.mean(sure):.3f}", f"{low:.3f}",
            f"{np.mean(strange):.3f}", f"{high:.3f}", str(away)]  # fmt: skip


def windows(clip: Clip, expert: SyncExpert, length: int = 12, step: int = 6) -> str:
    """Along a clip, in windows of ``length`` frames: the offset, and the distance there and at none."""
    mouths = mouth_pictures(clip.frames(), lip_centre(clip.track().landmarks), expert.config.side)
    with torch.inference_mode():
        seen = expert.see(as_input(mouths[None]))[0]
        apart = torch.cdist(seen, expert.hear(speech_of(clip.audio(), len(mouths))[None])[0])  # (N, N)
    lines, reach = [], MAX_OFFSET
    for first in range(0, len(mouths) - length - reach, step):
        rows = {
            k: float(apart.diagonal(k)[max(first, first + k) - max(k, 0) :][:length].mean())
            for k in range(-min(first, reach), reach + 1)
        }
        best = min(rows, key=lambda k: rows[k])
        lines.append([f"{first} to {first + length}", str(best), f"{rows[best]:.2f}", f"{rows[0]:.2f}"])
    return table(["frames", "offset", "distance there", "at 0"], lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("datasets", nargs="+")
    parser.add_argument("--expert")
    parser.add_argument("--zero", action="store_true")
    parser.add_argument("--windows", help="only this clip, piece by piece")
    parser.add_argument("--most", type=int, default=40, help="clips of a dataset, evenly taken")
    asked = parser.parse_args()
    expert = load_expert(asked.expert) if asked.expert else shipped_expert()
    if asked.windows:
        clips = [clip for clip in Dataset(asked.datasets[0]).clips() if clip.id == asked.windows]
        print("\n\n".join(windows(clip, expert) for clip in clips))
        return
    lines = []
    for name in asked.datasets:
        path, _, split = name.partition(":")
        clips = Dataset(path).clips(split or None)
        clips = clips[:: -(-len(clips) // asked.most)]
        lines.append([name, *numbers(clips, expert, asked.zero)])
    print(table(["clips", "n", "right to ±1", "exactly", "confidence", "its lowest tenth", "with another's sound",
                 "its highest tenth", "own offset not 0"], lines))  # fmt: skip


if __name__ == "__main__":
    main()
