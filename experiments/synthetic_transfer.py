"""What is a corpus worth on people it does not show? Trains three small networks on it and measures them on strangers.

It makes the tables on what synthetic people are worth in docs/results/synth.md; recipes/transfer.sh runs all of it.

    python experiments/synthetic_transfer.py measure -o OUT/base --train CORPUS [--train OTHER] \\
        --test NAME=DATASET[:val] ... [--seed 1]
    python experiments/synthetic_transfer.py clean-sound --corpus RAW --dataset DATA -o OUT/data/without-microphone
    python experiments/synthetic_transfer.py table OUT/base OUT/other ...

All three learn in one loop from the same batches: `sync` (which speech belongs to which mouth), `speech` (the lip
opening from speech alone) and `picture` (the opening from one picture of the mouth). Datasets are prepared ones.
Columns: `offset` and `pair` are the held-out accuracies of `sync` (see `dithead train sync`), `speech` and `picture`
the correlations of the two predicted openings with the measured one; each is a mean over clips with its standard error.
Letters: B segments, T frames each, K side of the mouth picture.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dithead.critics.sync_expert import MEL_PER_FRAME, SyncConfig, SyncExpert, contrastive_losses
from dithead.critics.sync_offset import mouths_to_tensor
from dithead.face.lip_opening import lip_opening
from dithead.media.audio import write_audio
from dithead.prepare.dataset import Clip, Dataset
from dithead.synth.corpus.people import ClipTask, plan_take
from dithead.synth.corpus.recipe import CorpusRecipe
from dithead.synth.head.assets import load_head
from dithead.synth.head.body import Body
from dithead.synth.skin.skin_record import SKINS_FOLDER
from dithead.train.data.mouth_dataset import MouthClip, augment_mouth_images, inner_pictures, mouth_clip
from dithead.train.data.speech_augmentation import augment_mel
from dithead.train.loop.randomness import step_generator, step_rng
from dithead.train.metrics.held_out_sync import held_out_metrics
from shared import RATE, load_clips, make_parser, parse_named, print_table

GREY = SyncConfig(side=32, width=24, embedding=64, colour=False)
IN_COLOUR = SyncConfig(side=32, width=24, embedding=64, colour=True)
SEGMENTS, FRAMES = 8, 25  # of a batch
LEARNING_RATE, WARM_UP = 2e-3, 30  # steps
AUGMENTED = 0.8  # share of the segments whose speech is augmented
COLUMNS = ("offset", "pair", "speech", "picture")

Numbers = dict[str, float]


@dataclass(frozen=True)
class Sample:
    """A clip as the networks see it, and how far its lips are open (N,)."""

    mouth: MouthClip
    opening: NDArray[np.float32]


class Probe(nn.Module):
    """The three networks, and the mean and deviation of the opening in their training data."""

    def __init__(self, mean: float, deviation: float) -> None:
        super().__init__()
        self.mean, self.deviation = mean, deviation
        self.sync = SyncExpert(GREY)
        self.speech = nn.Sequential(
            nn.Conv1d(80, 96, 5, 2, 2), nn.GELU(), nn.Conv1d(96, 96, 5, 2, 2), nn.GELU(),
            nn.Conv1d(96, 96, 5, 1, 2), nn.GELU(), nn.Conv1d(96, 96, 5, 1, 2), nn.GELU(), nn.Conv1d(96, 1, 1),
        )  # fmt: skip
        self.picture = nn.Sequential(
            nn.Conv2d(3, 24, 3, 2, 1), nn.GELU(), nn.Conv2d(24, 48, 3, 2, 1), nn.GELU(),
            nn.Conv2d(48, 64, 3, 2, 1), nn.GELU(), nn.Flatten(), nn.Linear(64 * 16, 96), nn.GELU(), nn.Linear(96, 1),
        )  # fmt: skip

    def opening_from_speech(self, mel: Tensor) -> Tensor:
        """Predict the standardised opening (B, T) from log-mel (B, 4 T, 80)."""
        return self.speech(mel.transpose(1, 2))[:, 0]

    def opening_from_pictures(self, mouths: Tensor) -> Tensor:
        """Predict the standardised opening (B, T) from pictures (B, T, 3, K, K) in [-1, 1]."""
        flat = mouths.flatten(0, 1)
        level = flat.mean((1, 2, 3), keepdim=True)
        flat = (flat - level) / (flat - level).square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(0.05)
        return self.picture(flat).view(mouths.shape[:2])


def load_samples(dataset: str, cache: Path) -> list[Sample]:
    """Load the clips of ``FOLDER`` or ``FOLDER:SPLIT``; their features are kept in ``cache``."""
    folder = dataset.partition(":")[0]
    clips = [clip for clip in load_clips(dataset) if clip.length >= FRAMES]
    return [load_sample(clip, cache / Path(folder).name) for clip in clips]


def load_sample(clip: Clip, cache: Path) -> Sample:
    """Load one clip, or compute its features once."""
    path = cache / f"{clip.id}.npz"
    if not path.exists():
        computed, opening = mouth_clip(clip, GREY), [lip_opening(frame) for frame in clip.track().landmarks]
        cache.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, mouths=computed.mouths, mel=computed.mel, opening=np.array(opening, np.float32))
        part.replace(path)
    with np.load(path, allow_pickle=False) as stored:
        return Sample(MouthClip(stored["mouths"], stored["mel"]), stored["opening"])


def make_batch(datasets: Sequence[Sequence[Sample]], seed: int, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return mouths (B, T, 3, K, K), log-mel (B, 4 T, 80) and openings (B, T); every dataset is drawn equally often."""
    rng = step_rng(seed, step)
    mouths, mels, openings = [], [], []
    for segment in range(SEGMENTS):
        samples = datasets[segment % len(datasets)]
        sample = samples[int(rng.integers(len(samples)))]
        first = int(rng.integers(0, len(sample.opening) - FRAMES + 1))
        mel = sample.mouth.mel[first * MEL_PER_FRAME : (first + FRAMES) * MEL_PER_FRAME].astype(np.float32)
        mels.append(augment_mel(rng, mel) if rng.random() < AUGMENTED else mel)
        mouths.append(sample.mouth.mouths[first : first + FRAMES])
        openings.append(sample.opening[first : first + FRAMES])
    pictures = augment_mouth_images(mouths_to_tensor(np.stack(mouths)), IN_COLOUR, step_generator(seed, step))
    return pictures, torch.from_numpy(np.stack(mels)), torch.from_numpy(np.stack(openings))


def train(datasets: Sequence[Sequence[Sample]], steps: int, seed: int) -> Probe:
    """Train the networks from scratch."""
    opening = np.concatenate([sample.opening for samples in datasets for sample in samples])
    torch.manual_seed(seed)
    probe = Probe(float(opening.mean()), float(opening.std()))
    optimiser = torch.optim.AdamW(probe.parameters(), LEARNING_RATE, weight_decay=0.02)
    for step in range(steps):
        decay = min((step + 1) / WARM_UP, 0.5 + 0.5 * np.cos(np.pi * step / steps))
        optimiser.param_groups[0]["lr"] = LEARNING_RATE * decay
        mouths, mel, truth = make_batch(datasets, seed, step)
        truth = (truth - probe.mean) / probe.deviation
        wide, near = contrastive_losses(probe.sync.embed_mouths(mouths), probe.sync.embed_speech(mel), probe.sync.scale)
        error = nn.functional.smooth_l1_loss
        loss = wide + near + error(probe.opening_from_speech(mel), truth)
        loss = loss + error(probe.opening_from_pictures(mouths), truth)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(probe.parameters(), 1.0)
        optimiser.step()
        if step % 50 == 0:
            print(f"step {step}: near {near.item():.3f} (chance {np.log(FRAMES):.3f})", flush=True)
    return probe.eval()


@torch.inference_mode()
def measure(probe: Probe, samples: Sequence[Sample]) -> Numbers:
    """Return the mean of each of COLUMNS over clips, and its standard error as ``NAME_error``."""
    sync = [held_out_metrics(probe.sync, [sample.mouth]) for sample in samples]
    by_speech, by_picture = [], []
    for sample in samples:
        mel = torch.from_numpy(sample.mouth.mel.astype(np.float32))[None]
        by_speech.append(correlation(probe.opening_from_speech(mel)[0], sample))
        pictures = mouths_to_tensor(inner_pictures(sample.mouth.mouths, GREY.side)[None])
        by_picture.append(correlation(probe.opening_from_pictures(pictures)[0], sample))
    values = {
        "offset": [numbers["held_out_offset"] for numbers in sync],
        "pair": [numbers["held_out_pair"] for numbers in sync],
        "speech": by_speech,
        "picture": by_picture,
    }
    measured: Numbers = {"clips": len(samples)}
    for name, each in values.items():
        measured[name] = float(np.nanmean(each))
        measured[f"{name}_error"] = float(np.nanstd(each) / np.sqrt(len(each)))
    return measured


def correlation(predicted: Tensor, sample: Sample) -> float:
    """Correlate a predicted opening (N,) with the measured one."""
    n = min(len(predicted), len(sample.opening))
    return float(np.corrcoef(predicted[:n].numpy(), sample.opening[:n])[0, 1])


def measure_corpora(options: argparse.Namespace) -> None:
    """Train on the datasets, measure on the test sets, and write numbers.json."""
    torch.set_num_threads(1)
    cache = options.output.parent / "features"
    probe = train([load_samples(name, cache) for name in options.train], options.steps, options.seed)
    tests = {}
    for name, folders in parse_named(options.test).items():
        samples = [sample for folder in folders.split(",") for sample in load_samples(folder, cache)]
        tests[name] = measure(probe, samples)
    options.output.mkdir(parents=True, exist_ok=True)
    content = {"train": options.train, "steps": options.steps, "seed": options.seed, "tests": tests}
    (options.output / "numbers.json").write_text(json.dumps(content, indent=1) + "\n")
    print(json.dumps(tests))


def remove_microphone(options: argparse.Namespace) -> None:
    """Copy a dataset that was prepared from a corpus, with voices as they were before the microphone."""
    stored = json.loads((options.corpus / "config.json").read_text("utf-8"))
    recipe = CorpusRecipe.from_record(stored | {"without": ("microphone",)})
    body = Body(load_head(recipe.options.head_model))
    shutil.copytree(options.dataset, options.output, dirs_exist_ok=True)
    for clip in Dataset(options.output).clips():
        task = ClipTask(int(clip.identity.rpartition("_")[2]), None)
        take = plan_take(task, recipe, body, options.corpus / SKINS_FOLDER)
        write_audio(clip.folder / "audio.flac", take.script.wave[: len(clip.audio())], RATE)


def print_runs(options: argparse.Namespace) -> None:
    """Print one line for each finished run, with the test sets side by side."""
    runs = {run.name: json.loads((run / "numbers.json").read_text())["tests"]
            for run in options.runs if (run / "numbers.json").exists()}  # fmt: skip
    tests = list(dict.fromkeys(name for measured in runs.values() for name in measured))
    lines = []
    for run, measured in runs.items():
        cells = [run]
        for test in tests:
            numbers = measured.get(test)
            cells += [f"{numbers[c]:.2f} ± {numbers[c + '_error']:.2f}" if numbers else "" for c in COLUMNS]
        lines.append(cells)
    print_table(["trained on", *(f"{test}: {column}" for test in tests for column in COLUMNS)], lines)


def main() -> None:
    parser = make_parser(__doc__)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("measure", help="train on a corpus and measure on strangers")
    one.add_argument("-o", "--output", type=Path, required=True)
    one.add_argument("--train", action="append", required=True, metavar="DATASET", help="FOLDER or FOLDER:SPLIT")
    one.add_argument("--test", action="append", required=True, metavar="NAME=DATASET[,DATASET...]")
    one.add_argument("--steps", type=int, default=600)
    one.add_argument("--seed", type=int, default=0)
    one.set_defaults(function=measure_corpora)
    two = commands.add_parser("clean-sound", help="copy a synthetic dataset with voices as they were made")
    two.add_argument("--corpus", type=Path, required=True, metavar="RAW_SYNTH")
    two.add_argument("--dataset", type=Path, required=True, metavar="PREPARED_SYNTH")
    two.add_argument("-o", "--output", type=Path, required=True)
    two.set_defaults(function=remove_microphone)
    three = commands.add_parser("table", help="finished runs as a Markdown table")
    three.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    three.set_defaults(function=print_runs)
    options = parser.parse_args()
    options.function(options)


if __name__ == "__main__":
    main()
