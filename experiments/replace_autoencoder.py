"""Put the autoencoder of a later training run into a model whose transformer and audio encoder stay as they are.

It answers no question: it is a step by which the shipped model was made (docs/log/2026-11.md).

    dithead train autoencoder --latents-of small ... -o out/autoencoder
    python experiments/replace_autoencoder.py out/dit/model out/autoencoder out/model --version 0.7

The latents of the run must be those of the model, because the transformer was trained on them.
"""

from __future__ import annotations

import json

import torch
from pydantic import TypeAdapter

from dithead.checkpoint import load_model
from dithead.config import ModelConfig
from dithead.models.autoencoder.face import AutoencoderConfig, FaceAutoencoder
from dithead.train.loop.weights_file import load_weights
from dithead.train.stages.autoencoder import WEIGHTS
from shared import make_version_parser, save_next_version


def main() -> None:
    parser = make_version_parser(__doc__, "run folder of `dithead train autoencoder --latents-of MODEL`")
    options = parser.parse_args()
    talker = load_model(options.model)
    settings = json.loads((options.run / "config.json").read_text("utf-8"))["model"]["autoencoder"]
    autoencoder = FaceAutoencoder(TypeAdapter(AutoencoderConfig).validate_python(settings))
    load_weights(autoencoder, options.run / WEIGHTS, "finish the run")
    old, new = talker.autoencoder.state_dict(), autoencoder.state_dict()
    kept = [name for name in old if name.startswith(("encoder.", "latent_"))]
    if any(not torch.allclose(old[name], new[name], atol=1e-2) for name in kept):  # a model is stored in 16 bits
        raise SystemExit(f"{options.run} has other latents than {options.model}; train it with --latents-of")
    talker.autoencoder = autoencoder
    fields = {**ModelConfig.model_validate(talker.config).model_dump(), "autoencoder": autoencoder.config}
    talker.config = ModelConfig.model_validate(fields)
    save_next_version(talker, None, options.model, options.output, options.version)


if __name__ == "__main__":
    main()
