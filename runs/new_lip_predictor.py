"""Put the lip predictor of another run of the audio encoder into a model; its tokens and its transformer stay.

dithead train audio --tokens-of small ... -o out/lip_predictor
python runs/new_lip_predictor.py small out/lip_predictor out/model --version 0.5
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from dithead.checkpoint import CARD, load_model, save_model
from dithead.config import ModelConfig
from dithead.hub import resolve_model
from dithead.models.audio.context_encoder import ContextEncoder, ContextEncoderConfig
from dithead.train.stages.parts import load_audio


def main() -> None:
    told = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument("model")
    told.add_argument("run", type=Path)
    told.add_argument("output", type=Path)
    told.add_argument("--version", required=True)
    options = told.parse_args()
    talker = load_model(options.model)
    heard = ContextEncoderConfig(**json.loads((options.run / "config.json").read_text("utf-8"))["model"])
    encoder = ContextEncoder(heard)
    basis = load_audio(options.run, encoder)
    old = talker.audio.state_dict()
    if any(not torch.equal(value, old[name]) for name, value in encoder.state_dict().items() if name in old):
        raise SystemExit(
            f"{options.run} has other tokens than {options.model}; train it with --tokens-of {options.model}"
        )
    talker.audio = encoder
    talker.dit.set_calibration(*(torch.from_numpy(part) for part in (basis.gain, basis.shift, basis.centre)))
    told_now = {**ModelConfig.model_validate(talker.config).model_dump(), "audio": heard}
    talker.config = ModelConfig.model_validate(told_now)
    card = (resolve_model(options.model) / CARD).read_text("utf-8")
    save_model(options.output, talker, version=options.version)
    (options.output / CARD).write_text(card, "utf-8")  # the card is for people, who mend it by hand


if __name__ == "__main__":
    main()
