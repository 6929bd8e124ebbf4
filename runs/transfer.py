"""What is a corpus worth on people it does not show? Three small networks are trained on it and measured on strangers.

    python runs/transfer.py measure -o OUT/base --train CORPUS [--train OTHER] --test NAME=DATASET[:val] ... [--seed 1]
    python runs/transfer.py clean-sound --corpus RAW --dataset DATA -o OUT/data/without-microphone
    python runs/transfer.py table OUT/base OUT/other ... > table.md

All three learn in one loop from the same batches: ``sync`` (which speech belongs to which mouth), ``hear`` (the lips'
opening from speech alone) and ``see`` (the opening from one picture of the mouth). Datasets are prepared ones.
Letters: B segments, T frames each, K side of the mouth picture.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dithead.critics.sync_expert import MEL_PER_FRAME, SyncConfig, SyncExpert, contrast
from dithead.critics.sync_offset import as_input
from dithead.face.lip_opening import lip_aperture
from dithead.media.audio import write_audio
from dithead.prepare.dataset import Clip, Dataset
from dithead.synth.corpus.people import Options, Task, plan_take
from dithead.synth.head.assets import load_head
from dithead.synth.head.body import Body
from dithead.synth.skin.skin_record import SKINS_FOLDER
from dithead.train.data.speech_augmentation import augment_mel
from dithead.train.loop.runtime import step_generator, step_rng
from dithead.train.stages.sync_expert import Speaking, augment_mouths, held_out_numbers, inner, speaking

CONFIG = SyncConfig(side=32, width=24, embedding=64, colour=False)
IN_COLOUR = SyncConfig(side=32, width=24, embedding=64, colour=True)
SEGMENTS, FRAMES, RATE, WARMUP = 8, 25, 2e-3, 30


@dataclass(frozen=True)
class Item:
    """A clip as the networks see it, and how far its lips are open (N,)."""

    speaking: Speaking
    opening: NDArray[np.float32]


class Probe(nn.Module):
    """The three networks, and the mean and spread of the opening they were trained on."""

    def __init__(self, mean: float, spread: float) -> None:
        super().__init__()
        self.mean, self.spread = mean, spread
        self.sync = SyncExpert(CONFIG)
        self.hear = nn.Sequential(
            nn.Conv1d(80, 96, 5, 2, 2), nn.GELU(), nn.Conv1d(96, 96, 5, 2, 2), nn.GELU(),
            nn.Conv1d(96, 96, 5, 1, 2), nn.GELU(), nn.Conv1d(96, 96, 5, 1, 2), nn.GELU(), nn.Conv1d(96, 1, 1),
        )  # fmt: skip
        self.see = nn.Sequential(
            nn.Conv2d(3, 24, 3, 2, 1), nn.GELU(), nn.Conv2d(24, 48, 3, 2, 1), nn.GELU(),
            nn.Conv2d(48, 64, 3, 2, 1), nn.GELU(), nn.Flatten(), nn.Linear(64 * 16, 96), nn.GELU(), nn.Linear(96, 1),
        )  # fmt: skip

    def heard(self, mel: Tensor) -> Tensor:
        """Log-mel (B, 4 T, 80) to the opening (B, T), standardised."""
        return self.hear(mel.transpose(1, 2))[:, 0]

    def seen(self, mouths: Tensor) -> Tensor:
        """Pictures (B, T, 3, K, K) in [-1, 1] to the opening (B, T), standardised."""
        flat = mouths.flatten(0, 1)
        level = flat.mean((1, 2, 3), keepdim=True)
        flat = (flat - level) / (flat - level).square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(0.05)
        return self.see(flat).view(mouths.shape[:2])


def load(dataset: str, cache: Path) -> list[Item]:
    """The clips of ``FOLDER`` or ``FOLDER:SPLIT`` with their features, kept in ``cache``."""
    folder, _, split = dataset.partition(":")
    clips = [clip for clip in Dataset(folder).clips(split or None) if clip.length >= FRAMES]
    return [_item(clip, cache / Path(folder).name) for clip in clips]


def _item(clip: Clip, cache: Path) -> Item:
    path = cache / f"{clip.id}.npz"
    if not path.exists():
        made, opening = speaking(clip, CONFIG), [lip_aperture(frame) for frame in clip.track().landmarks]
        cache.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, mouths=made.mouths, mel=made.mel, opening=np.array(opening, np.float32))
        part.replace(path)
    with np.load(path, allow_pickle=False) as stored:
        return Item(Speaking(stored["mouths"], stored["mel"]), stored["opening"])


def batch(sets: Sequence[Sequence[Item]], seed: int, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mouths (B, T, 3, K, K), mel (B, 4 T, 80), opening (B, T); every set equally often."""
    rng = step_rng(seed, step)
    mouths, mels, openings = [], [], []
    for row in range(SEGMENTS):
        items = sets[row % len(sets)]
        item = items[int(rng.integers(len(items)))]
        first = int(rng.integers(0, len(item.opening) - FRAMES + 1))
        mel = item.speaking.mel[first * MEL_PER_FRAME : (first + FRAMES) * MEL_PER_FRAME].astype(np.float32)
        mels.append(augment_mel(rng, mel) if rng.random() < 0.8 else mel)
        mouths.append(item.speaking.mouths[first : first + FRAMES])
        openings.append(item.opening[first : first + FRAMES])
    pictures = augment_mouths(as_input(np.stack(mouths)), IN_COLOUR, step_generator(seed, step))
    return pictures, torch.from_numpy(np.stack(mels)), torch.from_numpy(np.stack(openings))


def train(sets: Sequence[Sequence[Item]], steps: int, seed: int) -> Probe:
    """Train the networks from scratch."""
    opening = np.concatenate([item.opening for items in sets for item in items])
    torch.manual_seed(seed)
    probe = Probe(float(opening.mean()), float(opening.std()))
    optimiser = torch.optim.AdamW(probe.parameters(), RATE, weight_decay=0.02)
    for step in range(steps):
        share = min((step + 1) / WARMUP, 0.5 + 0.5 * np.cos(np.pi * step / steps))
        optimiser.param_groups[0]["lr"] = RATE * share
        mouths, mel, truth = batch(sets, seed, step)
        truth = (truth - probe.mean) / probe.spread
        wide, near = contrast(probe.sync.see(mouths), probe.sync.hear(mel), probe.sync.scale)
        error = nn.functional.smooth_l1_loss
        loss = wide + near + error(probe.heard(mel), truth) + error(probe.seen(mouths), truth)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(probe.parameters(), 1.0)
        optimiser.step()
        if step % 50 == 0:
            print(f"step {step}: near {near.item():.3f} (chance {np.log(FRAMES):.3f})", flush=True)
    return probe.eval()


@torch.inference_mode()
def measure(probe: Probe, items: Sequence[Item]) -> dict[str, float]:
    """Means over clips; ``offset_error`` and the like are standard errors over clips."""
    sync = [held_out_numbers(probe.sync, [item.speaking]) for item in items]
    rows = {
        "offset": [row["held_out_offset"] for row in sync], "pair": [row["held_out_pair"] for row in sync],
        "hear": [_r(probe.heard(torch.from_numpy(i.speaking.mel.astype(np.float32))[None])[0], i) for i in items],
        "see": [_r(probe.seen(as_input(inner(i.speaking.mouths, CONFIG.side)[None]))[0], i) for i in items],
    }  # fmt: skip
    told: dict[str, float] = {"clips": len(items)}
    for name, values in rows.items():
        told[name] = float(np.nanmean(values))
        told[f"{name}_error"] = float(np.nanstd(values) / np.sqrt(len(values)))
    return told


def _r(guess: Tensor, item: Item) -> float:
    n = min(len(guess), len(item.opening))
    return float(np.corrcoef(guess[:n].numpy(), item.opening[:n])[0, 1])


def table(runs: Sequence[Path]) -> str:
    """Markdown: a row a run, the sets' numbers beside one another."""
    found = {
        run.name: json.loads((run / "numbers.json").read_text()) for run in runs if (run / "numbers.json").exists()
    }
    sets = list(dict.fromkeys(name for numbers in found.values() for name in numbers["tests"]))
    columns = ("offset", "pair", "hear", "see")
    head = ["trained on", *(f"{name}: {column}" for name in sets for column in columns)]
    lines = [head, ["---"] * len(head)]
    for run, numbers in found.items():
        cells = [run]
        for name in sets:
            told = numbers["tests"].get(name)
            cells += [f"{told[c]:.2f} ± {told[c + '_error']:.2f}" if told else "" for c in columns]
        lines.append(cells)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def without_microphone(corpus: Path, dataset: Path, output: Path) -> None:
    """A copy of ``dataset``, prepared from ``corpus``, in which voices sound as they were made: same pictures."""
    stored = json.loads((corpus / "config.json").read_text("utf-8"))
    known = {field.name: stored[field.name] for field in fields(Options) if field.name in stored}
    options = Options(**known | {"without": ("microphone",)})
    body = Body(load_head(options.head_model))
    shutil.copytree(dataset, output, dirs_exist_ok=True)
    for clip in Dataset(output).clips():
        take = plan_take(Task(int(clip.identity.rpartition("_")[2]), None), options, body, corpus / SKINS_FOLDER)
        write_audio(clip.folder / "audio.flac", take.script.wave[: len(clip.audio())], 16000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("measure")
    one.add_argument("-o", "--output", type=Path, required=True)
    one.add_argument("--train", action="append", required=True, help="prepared dataset, FOLDER or FOLDER:SPLIT")
    one.add_argument("--test", action="append", required=True, help="NAME=FOLDER[:SPLIT][,FOLDER...]")
    one.add_argument("--steps", type=int, default=600)
    one.add_argument("--seed", type=int, default=0)
    two = verbs.add_parser("clean-sound")
    two.add_argument("--corpus", type=Path, required=True)
    two.add_argument("--dataset", type=Path, required=True)
    two.add_argument("-o", "--output", type=Path, required=True)
    verbs.add_parser("table").add_argument("runs", nargs="+", type=Path)
    args = parser.parse_args()
    if args.verb == "table":
        print(table(args.runs))
        return
    if args.verb == "clean-sound":
        without_microphone(args.corpus, args.dataset, args.output)
        return
    torch.set_num_threads(1)
    cache = args.output.parent / "features"
    probe = train([load(name, cache) for name in args.train], args.steps, args.seed)
    tests = {}
    for entry in args.test:
        name, _, folders = entry.partition("=")
        tests[name] = measure(probe, [item for folder in folders.split(",") for item in load(folder, cache)])
    args.output.mkdir(parents=True, exist_ok=True)
    told = {"train": args.train, "steps": args.steps, "seed": args.seed, "tests": tests}
    (args.output / "numbers.json").write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps(tests))


if __name__ == "__main__":
    main()
