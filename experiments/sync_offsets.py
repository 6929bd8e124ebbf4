"""Does a sync expert find by how many frames the sound of a clip was moved, and how sure is it?

It makes the tables of docs/results/sync-experts.md.

    python experiments/sync_offsets.py DATASET[:val] ... [--expert sync.safetensors]
    python experiments/sync_offsets.py DATASET --windows CLIP       # the offset along one clip, window by window

The sound of every clip is moved by -5 to 5 frames. A shift counts as found when the expert's offset is the shift plus
the offset that the clip has by itself (with ``--zero``: the shift alone), to within one frame and exactly. Confidence
is also given with the sound of the next clip, which does not belong to the picture.
"""

from __future__ import annotations

import numpy as np
import torch

from dithead.critics.sync_expert import MAX_OFFSET, SyncExpert
from dithead.critics.sync_offset import (
    crop_mouths,
    find_mouths_offset,
    load_shipped_expert,
    load_sync_expert,
    mouth_centre,
    mouths_to_tensor,
    speech_mel,
)
from dithead.prepare.dataset import Clip
from shared import load_clips, make_parser, print_table, shift_sound

SHIFTS = range(-5, 6)  # frames at 25 per second
WINDOW, STEP = 12, 6  # frames of a window, and from one window to the next
HEADING = ["clips", "n", "found to ±1", "found exactly", "confidence", "10th percentile", "with another clip's sound",
           "90th percentile", "own offset not 0"]  # fmt: skip


def measure(clips: list[Clip], expert: SyncExpert, zero: bool) -> list[str]:
    """Return one line of the table, without its name, and print what is found for each clip."""
    near, exact, confidences, mismatched, own = [], [], [], [], []
    for clip, other in zip(clips, clips[1:] + clips[:1], strict=True):
        mouths = crop_mouths(clip.frames(), mouth_centre(clip.track().landmarks), expert.config.side)
        wave = clip.audio()
        unmoved = find_mouths_offset(mouths, wave, expert)
        own.append(unmoved.frames)
        confidences.append(unmoved.confidence)
        mismatched.append(find_mouths_offset(mouths, np.resize(other.audio(), len(wave)), expert).confidence)
        for k in SHIFTS:
            found = find_mouths_offset(mouths, shift_sound(wave, k), expert).frames
            error = found - k - (0 if zero else unmoved.frames)
            near.append(abs(error) <= 1)
            exact.append(error == 0)
        print(f"  {clip.id}: offset {unmoved.frames}, confidence {unmoved.confidence:.3f}, with another clip's sound "
              f"{mismatched[-1]:.3f}", flush=True)  # fmt: skip
    low, high = np.quantile(confidences, 0.1), np.quantile(mismatched, 0.9)
    return [str(len(clips)), f"{np.mean(near):.2f}", f"{np.mean(exact):.2f}", f"{np.mean(confidences):.3f}",
            f"{low:.3f}", f"{np.mean(mismatched):.3f}", f"{high:.3f}", str(sum(k != 0 for k in own))]  # fmt: skip


def measure_windows(clip: Clip, expert: SyncExpert) -> list[list[str]]:
    """Return for each window along a clip: its frames, the best offset, and the distance there and at offset 0."""
    mouths = crop_mouths(clip.frames(), mouth_centre(clip.track().landmarks), expert.config.side)
    with torch.inference_mode():
        seen = expert.embed_mouths(mouths_to_tensor(mouths[None]))[0]
        distances = torch.cdist(seen, expert.embed_speech(speech_mel(clip.audio(), len(mouths))[None])[0])  # (N, N)
    lines, reach = [], MAX_OFFSET
    for first in range(0, len(mouths) - WINDOW - reach, STEP):
        means = {
            k: float(distances.diagonal(k)[max(first, first + k) - max(k, 0) :][:WINDOW].mean())
            for k in range(-min(first, reach), reach + 1)
        }
        best = min(means, key=lambda k: means[k])
        lines.append([f"{first} to {first + WINDOW}", str(best), f"{means[best]:.2f}", f"{means[0]:.2f}"])
    return lines


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("datasets", nargs="+", metavar="DATASET", help="prepared dataset, FOLDER or FOLDER:SPLIT")
    parser.add_argument("--expert", help="weights of an expert; the shipped scoring expert without")
    parser.add_argument("--zero", action="store_true", help="count a clip's own offset as an error, too")
    parser.add_argument("--windows", metavar="CLIP", help="only this clip, window by window")
    parser.add_argument("--most", type=int, default=40, help="clips of a dataset, taken evenly (default: 40)")
    options = parser.parse_args()
    expert = load_sync_expert(options.expert) if options.expert else load_shipped_expert()
    if options.windows:
        for clip in (clip for clip in load_clips(options.datasets[0]) if clip.id == options.windows):
            print_table(["frames", "offset", "distance there", "distance at 0"], measure_windows(clip, expert))
        return
    lines = [[name, *measure(load_clips(name, options.most), expert, options.zero)] for name in options.datasets]
    print_table(HEADING, lines)


if __name__ == "__main__":
    main()
