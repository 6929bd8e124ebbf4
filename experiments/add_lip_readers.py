"""Give a model more networks that read the lips off its lip predictor's layers, whose mean errs less than each.

It answers no question: it is a step by which the shipped model was made (docs/log/2026-11.md). The layers stay, so
their states are computed once: of each clip as it is, and three times from another microphone and room, at other
speeds. The loss asks for a width that rises and falls with the truth, besides all else. Each new reader learns from
random weights of its own; of digital silence, which no recording has, it learns what the first reader says. The model's
first reader stays, and so does the closure head, which reads what it hears.

    python experiments/add_lip_readers.py MODEL RUN OUTPUT --version 0.8 --data HDTF:0.55 --data GRID:0.45

RUN is a run of `dithead train audio`, or of `experiments/audio_run_of_model.py`: its basis says what the coefficients
mean. The data are prepared datasets with their weights in the mixture; readers learn from the split train. Printed for
each dataset's val: the correlation of the predicted opening and width with the truth, at each clip's best lag, mean
over clips. The units of the width have to be fitted anew afterwards (`experiments/lent_references.py --fit`).
Letters: S states of the layers, H their width, T tokens of 20 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.signal import resample_poly
from torch import Tensor

from dithead.checkpoint import load_model
from dithead.evaluate.lip_series import best_lag
from dithead.models.audio.context_encoder import ContextEncoder
from dithead.models.audio.lip_predictor import LipPredictor
from dithead.models.audio.mel import SAMPLE_RATE
from dithead.prepare.dataset import Clip
from dithead.progress import shown
from dithead.train.data.clips import DataSource, choose_clips
from dithead.train.data.lip_basis import BASIS, LipBasis
from dithead.train.data.speech_augmentation import augment_samples
from dithead.train.data.speech_dataset import lip_shapes_of
from dithead.train.metrics.held_out_lips import measured_and_predicted
from dithead.train.stages.audio_encoder import correlation_loss
from dithead.types import Wave
from shared import extended_encoder, make_version_parser, print_table, save_next_version, set_audio_encoder

SPEEDS = (1.0, 0.92, 1.08, 0.96)  # of a clip's versions; all but the first are heard by another microphone
READERS, STEPS, BATCH = 2, 500, 24
STATES, SKIPPED, TOKENS = 125, 6, 100  # a sample: 3 s of states, and its tokens of 20 ms that count
RATE, DECAY = 1e-3, 0.05  # RATE: of learning; DECAY: of the weights
TOKEN, SAMPLES, WHOLE, STEP = 320, 1920, 5, 6  # samples a token; 1920 samples are five states and six tokens
SILENCE, SILENT_SHARE = 6 * SAMPLE_RATE, 0.04  # samples; share of what a reader learns from
PAST, AHEAD = 17, 5  # times 1920 samples of silence before and after a clip
WIDTH_LOSS, OPENING_LOSS = 1.0, 0.5  # weights of the losses by correlation
ALL_FRAMES = 10**9  # of a person: no limit

Numbers = NDArray[np.float64]


class HeardClip(NamedTuple):
    """One version of a clip: the states that are read (S, layers, H), and the true lips (T, 9) at each token."""

    states: Tensor
    lips: Tensor


@torch.inference_mode()
def hear(clip: Clip, predictor: LipPredictor, basis: LipBasis) -> list[HeardClip]:
    """Compute all versions of a clip."""
    wave, rng = np.asarray(clip.audio(), np.float32), np.random.default_rng(0)
    truth, numbers, heard = basis.coefficients(lip_shapes_of(clip)), np.arange(clip.length), []
    for speed in SPEEDS:
        sound = wave if speed == 1 else augment_samples(rng, faster(wave, speed))
        padded = F.pad(torch.from_numpy(sound), (PAST * SAMPLES, AHEAD * SAMPLES))
        states = torch.stack(list(predictor.layers(padded[None]))[-predictor.read_from :], 2)[0, PAST * WHOLE :]
        frames = np.arange(len(sound) // TOKEN) * (TOKEN / SAMPLE_RATE * speed * clip.fps)
        lips = np.stack([np.interp(frames, numbers, column) for column in truth.T], 1)
        heard.append(HeardClip(states.half().clone(), torch.from_numpy(lips).float()))
    return heard


@torch.inference_mode()
def hear_silence(predictor: LipPredictor) -> HeardClip:
    """Compute the states of silence, and what the first reader says of it."""
    padded = torch.zeros(1, SILENCE + (PAST + AHEAD) * SAMPLES)
    layers = list(predictor.layers(padded))
    states = torch.stack(layers[-predictor.read_from :], 2)[0, PAST * WHOLE :]
    middle = (PAST * SAMPLES + SILENCE // 2) // TOKEN
    said = predictor.read_alone(predictor, predictor.normed(layers), middle, 1)[0]
    return HeardClip(states.half().clone(), said.expand(SILENCE // TOKEN, -1).clone())


def faster(wave: Wave, speed: float) -> Wave:
    """Play a sound (n,) faster, and so higher, or slower."""
    return np.asarray(resample_poly(wave, 100, round(100 * speed)), np.float32)


def batch_of(clips: Sequence[Sequence[HeardClip]], shares: Numbers, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Cut samples of random clips in random versions: states (B, 125, layers, H) and true lips (B, 100, 9)."""
    samples: list[tuple[Tensor, Tensor]] = []
    while len(samples) < BATCH:
        versions = clips[int(rng.choice(len(clips), p=shares))]
        clip = versions[int(rng.integers(len(versions)))]
        room = min((len(clip.lips) - SKIPPED - TOKENS) // STEP, (len(clip.states) - STATES) // WHOLE)
        if room > 0:
            step = int(rng.integers(room))
            first = step * STEP + SKIPPED
            samples.append((clip.states[step * WHOLE :][:STATES].float(), clip.lips[first : first + TOKENS]))
    states, lips = zip(*samples, strict=True)
    return torch.stack(states), torch.stack(lips)


def loss_of(predicted: Tensor, truth: Tensor, width_units: Tensor) -> Tensor:
    """Compute the error of all coefficients (B, T, 9), of the opening once more, and of how opening and width move."""
    everywhere = torch.ones(truth.shape[:2])
    shape = F.smooth_l1_loss(predicted, truth) + F.smooth_l1_loss(predicted[..., -1], truth[..., -1])
    opening = correlation_loss(predicted[..., -1], truth[..., -1], everywhere)
    width = correlation_loss(predicted @ width_units, truth @ width_units, everywhere)
    return shape + OPENING_LOSS * opening + WIDTH_LOSS * width


def train(predictor: LipPredictor, clips: Sequence[Sequence[HeardClip]], shares: Numbers, width_units: Tensor) -> None:
    """Train each of the new readers by itself."""
    for number, reader in enumerate(predictor.readers[1:]):
        torch.manual_seed(number)
        rng, learning = np.random.default_rng(number), reader.train().requires_grad_(True)
        optimiser = torch.optim.AdamW(learning.parameters(), RATE, weight_decay=DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, STEPS)
        for _ in shown(range(STEPS), f"reader {number + 1} of {READERS}", STEPS):
            states, truth = batch_of(clips, shares, rng)
            optimiser.zero_grad()
            read = predictor.read_alone(learning, predictor.normed(states.unbind(2)), SKIPPED, TOKENS)
            loss_of(read, truth, width_units).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        learning.eval().requires_grad_(False)


def test(encoder: ContextEncoder, basis: LipBasis, clips: Sequence[Clip]) -> list[str]:
    """Return the table's columns: correlations of opening and width."""
    units, found = basis.width_units, []
    for truth, predicted in measured_and_predicted(encoder, basis, clips):
        pairs = (predicted[:, -1], truth[:, -1]), (predicted @ units, truth @ units)
        found.append([best_lag(*pair)[1] for pair in pairs])
    return [f"{value:.3f}" for value in np.mean(found, 0)]


def main() -> None:
    parser = make_version_parser(__doc__, "run folder whose lip basis the model has")
    parser.add_argument("--data", action="append", required=True, metavar="DATASET:WEIGHT")
    parser.add_argument("--width-units", type=float, nargs="+", help="from lent_references.py --fit")
    options = parser.parse_args()
    torch.set_num_threads(1)
    talker, basis = load_model(options.model), LipBasis.load(options.run / BASIS)
    assert isinstance(talker.audio, ContextEncoder)
    sources = [replace(DataSource.parse(text), speech_only=True) for text in options.data]
    held_out = {Path(str(source.path)).name: clips for source in sources if (clips := source.clips("val"))}
    before = {name: test(talker.audio, basis, clips) for name, clips in held_out.items()}
    encoder = extended_encoder(talker.audio, lip_readers=1 + READERS)
    predictor = encoder.lip_predictor
    assert predictor is not None
    chosen = choose_clips(sources, "train", ALL_FRAMES)
    clips = [hear(item.clip, predictor, basis) for item in shown(chosen, "speech", len(chosen))]
    clips.append([hear_silence(predictor)])
    shares = np.array([*((1 - SILENT_SHARE) * item.probability for item in chosen), SILENT_SHARE])
    units = torch.from_numpy(basis.width_units).float()
    train(predictor, clips, shares, units)
    lines = [[name, *before[name], *test(encoder, basis, of_set)] for name, of_set in held_out.items()]
    print_table(["people held out", "opening before", "width before", "opening", "width"], lines)
    pairs = measured_and_predicted(encoder, basis, [clip for of_set in held_out.values() for clip in of_set])
    calibrated = basis.calibrated_to(*(np.concatenate(part) for part in zip(*pairs, strict=True)))
    set_audio_encoder(talker, encoder, options.width_units)
    save_next_version(talker, calibrated, options.model, options.output, options.version)


if __name__ == "__main__":
    main()
