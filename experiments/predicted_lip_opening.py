"""How well do models predict the opening of the lips from speech alone?

It makes the tables of predicted openings in docs/log/2026-11.md.

    python experiments/predicted_lip_opening.py small out/model --test grid=DATASET --test talkvid=DATASET

DATASETs are prepared with `--no-correct-offset --min-confidence 0`, so that every clip is as it came. Columns, means
over the clips of a set: correlation of the predicted with the measured opening at lag 0, the same at each clip's best
lag within 3 frames, and the ratio of their standard deviations before the prediction is calibrated to the person. Each
clip's correlation follows.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from dithead.checkpoint import load_model
from dithead.models.talking_head import TalkingHead
from dithead.prepare.dataset import Clip
from dithead.train.data.lip_basis import lip_shapes
from shared import load_clips, make_parser, parse_named, print_table

LAGS = range(-3, 4)  # frames
BATCH = 64  # frames

Opening = NDArray[np.float64]


@torch.inference_mode()
def predict_opening(talker: TalkingHead, clip: Clip) -> Opening:
    """Return the opening (N,) that the model predicts for each frame, relative to the outer eye corners' distance."""
    features = talker.audio.features(torch.from_numpy(np.asarray(clip.audio(), np.float32)))
    parts = (torch.arange(clip.length) / clip.fps).split(BATCH)
    lips = [talker.tokens_and_lips(features, times)[1] for times in parts]
    opening = torch.cat([part[:, -1] for part in lips if part is not None])
    return opening.double().numpy() * talker.config.opening_unit


def correlation(predicted: Opening, measured: Opening, lag: int = 0) -> float:
    """Correlate the predicted opening with the one measured ``lag`` frames later."""
    n = len(measured)
    late = predicted[max(0, -lag) : n - max(0, lag)]
    return float(np.corrcoef(late, measured[max(0, lag) : n - max(0, -lag)])[0, 1])


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("models", nargs="+", metavar="MODEL", help="shipped name, model folder or hub id")
    parser.add_argument("--test", action="append", required=True, metavar="NAME=DATASET")
    options = parser.parse_args()
    lines, by_clip = [], []
    for name in options.models:
        talker = load_model(name)
        for label, folder in parse_named(options.test).items():
            clips = load_clips(folder)
            pairs = [
                (predict_opening(talker, clip), lip_shapes(clip.track().landmarks)[:, -1].astype(float))
                for clip in clips
            ]
            at_zero = [correlation(*pair) for pair in pairs]
            best = [max(correlation(*pair, lag) for lag in LAGS) for pair in pairs]
            gain = [predicted.std() / measured.std() for predicted, measured in pairs]
            lines.append([name, label, f"{np.mean(at_zero):.3f}", f"{np.mean(best):.3f}", f"{np.mean(gain):.2f}"])
            by_clip += [[name, label, clip.id, f"{r:.2f}"] for clip, r in zip(clips, at_zero, strict=True)]
    print_table(["model", "clips of", "correlation at lag 0", "at the best lag", "gain"], lines)
    print()
    print_table(["model", "clips of", "clip", "correlation at lag 0"], by_clip)


if __name__ == "__main__":
    main()
