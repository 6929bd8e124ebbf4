"""Put the second audio encoder of a later training run into a model whose transformer stays as it is.

It answers no question: it is the step by which the shipped model got its lip predictor (docs/log/2026-11.md).

    dithead train audio --tokens-of small ... -o out/audio
    python experiments/replace_audio_encoder.py small out/audio out/model --version 0.5

The tokens of the run's audio encoder must be those of the model, because the transformer was trained on them. With
`--share 0.5` the lip predictor becomes the mean of the run's weights and the model's own: where a run went on from the
model, such a mean forgets less of what the model had learned (Wortsman et al. 2022, arXiv 2109.01903).
"""

from __future__ import annotations

import json

import torch

from dithead.checkpoint import load_model
from dithead.models.audio.context_encoder import ContextEncoder, ContextEncoderConfig
from dithead.train.stages.assemble_model import load_audio
from shared import make_version_parser, save_next_version, set_audio_encoder


def main() -> None:
    parser = make_version_parser(__doc__, "run folder of `dithead train audio --tokens-of MODEL`")
    parser.add_argument("--width-units", type=float, nargs="+", help="from lent_references.py --fit")
    parser.add_argument("--share", type=float, default=1.0, help="weight of the run's lip predictor; the rest: MODEL's")
    options = parser.parse_args()
    talker = load_model(options.model)
    sizes = json.loads((options.run / "config.json").read_text("utf-8"))["model"]
    encoder = ContextEncoder(ContextEncoderConfig(**sizes))
    basis = load_audio(options.run, encoder)
    old = talker.audio.state_dict()
    tokens = {name: value for name, value in encoder.state_dict().items() if not name.startswith("lip_predictor.")}
    if any(not torch.equal(value, old[name]) for name, value in tokens.items()):
        raise SystemExit(
            f"{options.run} has other tokens than {options.model}; train it with --tokens-of {options.model}"
        )
    mixed = {name: old[name].lerp(value, options.share) for name, value in encoder.state_dict().items() if name in old}
    encoder.load_state_dict(encoder.state_dict() | mixed)
    set_audio_encoder(talker, encoder, options.width_units)
    save_next_version(talker, basis, options.model, options.output, options.version)


if __name__ == "__main__":
    main()
