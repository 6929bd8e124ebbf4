"""Which picture of the person would each frame be lent, and do its opening and width follow the truth?

It makes the table of lent references in docs/log/2026-11.md, and with `--fit` the `width_units` of a model that was
trained before its configuration had them. Nothing is drawn, so a clip of ten seconds takes half a minute.

    python experiments/lent_references.py CLIP...
    python experiments/lent_references.py --fit CLIP...

Each clip is driven by its own sound. Rows: what is predicted for this person; the same with nearly closed lips
closed, which is what is wanted; what references that are chosen by the opening alone would show; the grid of narrow and
wide mouths, with several weights of the width; and the mixtures that `generate` makes. Columns, means over the clips:
correlation and gain of the opening at its best lag, those of the width at the same lag, the share of closures that are
kept, the share of those made that are true, and the width's jitter. Letters: N frames, R references, K lip
coefficients.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from dithead.checkpoint import load_model
from dithead.evaluate.lip_series import best_lag, closures_kept, correlation, deviation_ratio
from dithead.face.landmarks import FaceLandmarker
from dithead.face.lip_opening import lip_opening, lip_width
from dithead.face.mesh_indices import OUTER_LIPS
from dithead.face.pose import head_turn
from dithead.inference.analyse.first_pass import AnalysisSettings, analyse_video
from dithead.inference.analyse.references import choose_references
from dithead.inference.source.timeline import SourceClip
from dithead.inference.synthesise.audio_features import FileFeatures
from dithead.inference.synthesise.lip_calibration import (
    calibrate_tracklets,
    predict_lips,
    source_speech,
    training_calibration,
)
from dithead.inference.synthesise.personal_lips import motion_gain, personal_openings
from dithead.inference.synthesise.sampler import MouthSampler
from dithead.media.video import probe, read_frames
from dithead.models.talking_head import TalkingHead
from dithead.types import RGB, Landmarks
from shared import make_parser, print_table

WEIGHTS = (0.35, 0.5, 0.7, 1.0)  # of a difference of the width beside an equal one of the opening
BATCH, ROWS = 32, 24  # frames, openings of references that are chosen by the opening alone
RIDGE = 0.05  # of the mean variance of the coefficients

Numbers = NDArray[np.float64]


class Followed(NamedTuple):
    """One clip: what was seen and predicted in the frames of its longest tracklet."""

    truth: Numbers  # (N, 2) opening and width
    turns: Numbers  # (N,)
    sharpness: Numbers  # (N,)
    predicted: Numbers  # (N, K) lip coefficients
    personal: Numbers  # (N, 2) opening and width that are predicted for this person
    targets: Numbers  # (N, 2) those that are wanted
    grid: Numbers  # (R, 2) those of the references
    chosen: Numbers  # (N, 2) those of the mixtures of references


def seen_in(frame: RGB, face: Landmarks) -> list[float]:
    """Return opening, width, turn of the head and sharpness of the lips of one frame."""
    lips = face[list(OUTER_LIPS), :2]
    (x0, y0), (x1, y1) = (np.rint(edge).astype(int).clip(0) for edge in (lips.min(axis=0), lips.max(axis=0)))
    part = frame[y0:y1, x0:x1].astype(np.float32).mean(axis=2)
    sharpness = float(cv2.Laplacian(part, cv2.CV_32F).var()) if part.size else 0.0
    return [lip_opening(face), lip_width(face), head_turn(face), sharpness]


def follow(path: Path, talker: TalkingHead) -> Followed:
    """Measure and predict the lips of a clip."""
    clip = SourceClip(path, probe(path))
    analysis = analyse_video(clip.frames(), AnalysisSettings(talker.size, talker.config.mask))
    tracklet = max(analysis.tracklets, key=lambda each: each.stop - each.start)
    times, seen = [], []
    with FaceLandmarker() as landmarker:
        for frame in read_frames(path):
            face = landmarker.track(frame.pixels)
            if face is not None and tracklet.start <= frame.index < tracklet.stop:
                times.append(frame.time)
                seen.append(seen_in(frame.pixels, face))
    numbers, parts = np.array(seen), np.split(np.array(times), range(BATCH, len(times), BATCH))
    with TemporaryDirectory() as folder:
        calibrate_tracklets(analysis, talker, clip, source_speech(talker, clip, Path(folder) / "own.mel"))
        speech = FileFeatures(talker.audio, path, Path(folder) / "speech.mel")
        sound: dict[Any, Any] = {None: speech}
        sampler = MouthSampler(talker, sound, seed=0)
        lips = [predict_lips(talker, speech, part)[1] for part in parts]
        wanted = [target for part in parts for target in sampler.speech.targets(tracklet, part) or ()]
    references = sampler.bank.of(tracklet)
    assert references is not None
    grid = np.stack([references.openings, references.widths], axis=1).astype(np.float64)
    predicted = torch.cat([part for part in lips if part is not None])
    targets = np.array([target[:2] for target in wanted])
    chosen = [sum(share * grid[k] for k, share in references.around(target).items()) for target in wanted]
    calibration, unit = tracklet.calibration or training_calibration(talker), talker.config.opening_unit
    slope = motion_gain(calibration, tracklet.opening_spread, unit) * unit
    openings = personal_openings(predicted[:, -1].numpy(), calibration, tracklet, slope)
    personal = np.stack([openings.clip(0, targets[:, 0].max()), targets[:, 1]], axis=1)
    seen_there = numbers[:, :2], numbers[:, 2], numbers[:, 3]
    return Followed(*seen_there, predicted.double().numpy(), personal, targets, grid, np.array(chosen))


def by_opening_alone(clip: Followed) -> Numbers:
    """Return the references (R, 2) that one would keep and interpolate without a look at the width."""
    opening, width = clip.truth.T
    chain, _ = choose_references(opening, np.full(len(opening), width.mean()), clip.turns, clip.sharpness)
    rows = np.linspace(opening[chain[0]], opening[chain[-1]], ROWS)
    return np.stack([rows, np.interp(rows, opening[chain], width[chain])], axis=1)


def lent(references: Numbers, targets: Numbers, weight: float) -> Numbers:
    """Return opening and width (N, 2) of the references that are nearest to the targets."""
    apart = (references[None] - targets[:, None]) * np.array([1.0, weight])
    return np.asarray(references[(apart**2).sum(axis=2).argmin(axis=1)])


def score(found: Numbers, truth: Numbers) -> list[float]:
    """Return the columns of the table for lips (N, 2)."""
    lag, at_lag = best_lag(found[:, 0], truth[:, 0])
    k, n = int(lag), len(truth)
    a, b = found[max(0, k) : n + min(0, k)], truth[max(0, -k) : n - max(0, k)]
    jitter = np.abs(np.diff(found[:, 1], n=2)).mean() / np.abs(np.diff(truth[:, 1], n=2)).mean()
    gains = [deviation_ratio(a[:, column], b[:, column]) for column in (0, 1)]
    width = correlation(a[:, 1], b[:, 1])
    kept, true = closures_kept(a[:, 0], b[:, 0]), closures_kept(b[:, 0], a[:, 0])
    return [at_lag, gains[0], width, gains[1], kept, true, float(jitter)]


def fit_width_units(clips: list[Followed]) -> Numbers:
    """Return the ridge regression of the width on the coefficients (K,), as widely spread as the true width."""
    parts = []
    for clip in clips:
        lag, _ = best_lag(clip.predicted[:, -1], clip.truth[:, 0])
        k, n = int(lag), len(clip.truth)
        x, y = clip.predicted[max(0, k) : n + min(0, k)], clip.truth[max(0, -k) : n - max(0, k), 1]
        parts.append((x - x.mean(axis=0), y - y.mean()))
    x, y = np.concatenate([x for x, _ in parts]), np.concatenate([y / y.std() for _, y in parts])
    damping = RIDGE * len(x) * x.var(axis=0).mean() * np.eye(x.shape[1])
    units = np.linalg.solve(x.T @ x + damping, x.T @ y)
    spreads = [y.std() / (x @ units).std() for x, y in parts]
    return np.asarray(units * np.exp(np.mean(np.log(spreads))))


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("clips", type=Path, nargs="+", metavar="CLIP")
    parser.add_argument("--model", default="small", help="shipped name, model folder or hub id")
    parser.add_argument("--fit", action="store_true", help="print the width_units that fit the predictions")
    options = parser.parse_args()
    torch.set_num_threads(1)
    talker = load_model(options.model)
    clips = [follow(path, talker) for path in options.clips]
    if options.fit:
        print([round(float(unit), 4) for unit in fit_width_units(clips)])
        return
    rows = {
        "predicted": [clip.personal for clip in clips],
        "wanted": [clip.targets for clip in clips],
        "by opening alone": [lent(by_opening_alone(clip), clip.targets, 0) for clip in clips],
    }
    rows |= {f"grid, weight {w:g}": [lent(clip.grid, clip.targets, w) for clip in clips] for w in WEIGHTS}
    rows["grid, as mixed"] = [clip.chosen for clip in clips]
    lines = []
    for name, found in rows.items():
        means = np.nanmean([score(lips, clip.truth) for lips, clip in zip(found, clips, strict=True)], axis=0)
        lines.append([name, *(f"{mean:.3f}" for mean in means)])
    print_table(
        ["references", "r", "gain", "width r", "gain of width", "closures kept", "closures true", "width jitter"], lines
    )


if __name__ == "__main__":
    main()
