"""What the experiment scripts share: argument parsers, datasets named on the command line, and Markdown tables.

Scripts import it as ``from shared import ...``: Python puts the folder of the script that it runs on the import path.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from dithead.checkpoint import save_model
from dithead.config import ModelConfig
from dithead.errors import DitheadError
from dithead.evaluate.tables import markdown_table
from dithead.hub import resolve_model
from dithead.model_folder import CARD
from dithead.models.audio.context_encoder import ContextEncoder
from dithead.models.talking_head import TalkingHead
from dithead.prepare.dataset import Clip, Dataset
from dithead.train.data.lip_basis import LipBasis
from dithead.types import Wave

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
RATE = 16000  # Hz; prepared datasets, the experts and the model all read sound at this rate
FPS = 25  # frames per second of prepared datasets and of the sync experts


def make_parser(docstring: str | None) -> argparse.ArgumentParser:
    """Return a parser whose ``--help`` shows the docstring of the script as it is written."""
    return argparse.ArgumentParser(description=docstring, formatter_class=argparse.RawDescriptionHelpFormatter)


def make_version_parser(docstring: str | None, run: str = "") -> argparse.ArgumentParser:
    """Return ``make_parser``'s parser for a script that makes a new version of a model.

    Args:
        docstring: Of the script.
        run: What the run folder is whose part the new version gets; empty: there is none.
    """
    parser = make_parser(docstring)
    parser.add_argument("model", help="shipped name, model folder or hub id")
    if run:
        parser.add_argument("run", type=Path, help=run)
    parser.add_argument("output", type=Path, help="model folder to write")
    parser.add_argument("--version", required=True, help="version of the new model")
    return parser


def parse_named(entries: Sequence[str]) -> dict[str, str]:
    """Split ``NAME=VALUE`` arguments into a mapping; end the script with one line for another form."""
    named = {
        name: value for name, sign, value in (entry.partition("=") for entry in entries) if name and sign and value
    }
    if len(named) != len(entries):
        raise SystemExit(f"{' '.join(entries)}: give each as NAME=VALUE, every name once")
    return named


def load_clips(dataset: str, most: int | None = None) -> list[Clip]:
    """List the clips of a prepared dataset.

    Args:
        dataset: ``FOLDER``, or ``FOLDER:SPLIT`` with the split ``train`` or ``val``.
        most: At most about so many clips are taken, evenly spaced over the dataset.
    """
    folder, _, split = dataset.partition(":")
    try:
        clips = Dataset(folder).clips(split or None)
    except DitheadError as error:
        raise SystemExit(str(error)) from None
    return clips if most is None else clips[:: max(1, -(-len(clips) // most))]


def shift_sound(wave: Wave, frames: int) -> Wave:
    """Delay a sound (n,) at 16 kHz by so many frames at 25 per second, keeping its length; negative: advance it."""
    n = frames * RATE // FPS
    return np.pad(wave, (n, 0))[: len(wave)] if n >= 0 else np.pad(wave[-n:], (0, -n))


def print_table(heading: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table whose columns, but for the first, are aligned right."""
    print(markdown_table(heading, lines), flush=True)


def extended_encoder(encoder: ContextEncoder, **sizes: int) -> ContextEncoder:
    """Copy an audio encoder whose configuration changes by ``sizes``; parts that are new have random weights."""
    torch.manual_seed(0)
    copied = ContextEncoder(replace(encoder.config, **sizes)).eval().requires_grad_(False)
    copied.load_state_dict(copied.state_dict() | encoder.state_dict())
    return copied


def set_audio_encoder(talker: TalkingHead, encoder: ContextEncoder, width_units: Sequence[float] | None = None) -> None:
    """Put an audio encoder, and the units of the width if they are new, into a model and its configuration."""
    fields = {**ModelConfig.model_validate(talker.config).model_dump(), "audio": encoder.config}
    if width_units:
        fields["width_units"] = tuple(width_units)
    talker.audio, talker.config = encoder, ModelConfig.model_validate(fields)


def save_next_version(talker: TalkingHead, basis: LipBasis | None, before: str, output: Path, version: str) -> None:
    """Write a model of which a part is new.

    Args:
        talker: The model.
        basis: Has the calibration of the lips that a new audio encoder predicts; None: the encoder is the old one.
        before: The model it was made of, whose card is carried over, because cards are written by hand.
        output: Model folder to write.
        version: Of the new model.
    """
    if basis is not None:
        talker.dit.set_calibration(*(torch.from_numpy(part) for part in (basis.gain, basis.shift, basis.centre)))
    card = (resolve_model(before) / CARD).read_text("utf-8")
    save_model(output, talker, version=version)
    (output / CARD).write_text(card, "utf-8")
    print(output)
