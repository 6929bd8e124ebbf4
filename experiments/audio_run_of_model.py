"""Write the run of an audio encoder that a model has already, so that stage two can train another transformer on it.

It answers no question: it is a step by which the shipped model was made (docs/log/2026-11.md).

    python experiments/audio_run_of_model.py small out/audio --train DATASET:train --held-out DATASET:val

A model keeps what its lip coefficients were calibrated with, but not which lip shapes they stand for. So these are
fitted anew to the clips of --train, and get the signs of what the model predicts for --held-out from its tokens, and
its unit of the opening. Printed: how well each measured coefficient agrees with the predicted one. Those that agree
with nothing (below about 0.3) are hardly told by speech, and what they stand for matters little.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from dithead.checkpoint import load_model
from dithead.config import ModelConfig
from dithead.train.data.lip_basis import BASIS, LipBasis, correlations
from dithead.train.data.speech_dataset import lip_shapes_of
from dithead.train.loop.weights_file import save_weights
from dithead.train.metrics.held_out_lips import measured_and_predicted
from dithead.train.stages.audio_encoder import WEIGHTS
from shared import load_clips, make_parser, print_table


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("model", help="shipped name, model folder or hub id")
    parser.add_argument("output", type=Path, help="run folder to write")
    parser.add_argument(
        "--train", action="append", required=True, metavar="DATASET", help="what the shapes are fitted to"
    )
    parser.add_argument("--held-out", action="append", required=True, metavar="DATASET", help="gives their signs")
    options = parser.parse_args()
    talker = load_model(options.model)
    config = ModelConfig.model_validate(talker.config)
    shapes = [lip_shapes_of(clip) for each in options.train for clip in load_clips(each) if clip.has_speech]
    basis = LipBasis.fit(shapes)
    held_out = [clip for each in options.held_out for clip in load_clips(each) if clip.has_speech]
    pairs = measured_and_predicted(talker.audio, basis, held_out, from_tokens=True)
    truth, predicted = (np.concatenate(part) for part in zip(*pairs, strict=True))
    agreement = correlations(truth, predicted)
    signs, scale = np.where(agreement < 0, -1, 1).astype(np.float32), basis.scale.copy()
    scale[-1] = config.opening_unit
    calibration = {name: talker.dit.get_buffer(f"lip_{name}").numpy() for name in ("gain", "shift", "centre")}
    options.output.mkdir(parents=True, exist_ok=True)
    replace(basis, directions=basis.directions * signs[:-1], scale=scale, **calibration).save(options.output / BASIS)
    save_weights(options.output / WEIGHTS, talker.audio.state_dict())
    stored = {"stage": "audio", "model": config.model_dump(mode="json")["audio"]}
    (options.output / "config.json").write_text(json.dumps(stored), "utf-8")
    print_table(["coefficient", "correlation"], [[str(k), f"{abs(r):.2f}"] for k, r in enumerate(agreement)])
    print(options.output)


if __name__ == "__main__":
    main()
