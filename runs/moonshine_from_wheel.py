"""The encoder of Moonshine tiny, as a folder that `dithead train audio --ear` reads.

Moonshine (Moonshine AI, MIT; Jeffries et al. 2024) was made to write down English speech; some versions of the package
moonshine-voice carry it as an onnxruntime file of 8-bit weights. Where the hub can be reached,
`--lip-predictor UsefulSensors/moonshine-tiny` needs nothing of this.

    pip download --no-deps moonshine-voice==0.0.69 && unzip -j moonshine_voice-*.whl '*tiny-en/encoder_model.ort'
    pip install onnxruntime flatbuffers && python runs/moonshine_from_wheel.py encoder_model.ort out/moonshine
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime.tools.ort_format_model.ort_flatbuffers_py.fbs  # noqa: F401  (without it the next line finds nothing)
import torch
from onnxruntime.tools.ort_format_model.ort_flatbuffers_py.fbs.InferenceSession import InferenceSession
from transformers import MoonshineConfig, MoonshineModel

_TYPES = {1: np.float32, 2: np.uint8}
_PRODUCT = re.compile(r"/layers\.(\d)/(self_attn|mlp)/(\w+)/")
_GROUP_NORM = {"onnx::Mul_2080": "groupnorm.weight", "onnx::Add_2081": "groupnorm.bias"}
Arrays = dict[str, np.ndarray]


def stored(graph: Any) -> Arrays:
    """The graph's constants by name."""
    found = {}
    for tensor in (graph.Initializers(i) for i in range(graph.InitializersLength())):
        if tensor.DataType() in _TYPES:
            values = tensor.RawDataAsNumpy().view(_TYPES[tensor.DataType()])
            found[tensor.Name().decode()] = values.reshape([tensor.Dims(j) for j in range(tensor.DimsLength())])
    return found


def weights(graph: Any) -> Iterator[tuple[str, np.ndarray]]:
    """The encoder's names and values, as transformers has them."""
    found = stored(graph)
    for node in (graph.Nodes(i) for i in range(graph.NodesLength())):
        inputs = [node.Inputs(j).decode() for j in range(node.InputsLength())]
        matrix = next(
            (name for name in inputs if name.startswith("onnx::MatMul") and name.endswith("_quantized")), None
        )
        place = _PRODUCT.search(node.Outputs(0).decode())
        if matrix is not None and place is not None:
            zero, scale = (float(found[matrix.replace("quantized", part)]) for part in ("zero_point", "scale"))
            yield f"layers.{place[1]}.{place[2]}.{place[3]}.weight", (found[matrix].astype(np.float32) - zero).T * scale
    for name, values in found.items():
        if name.startswith("layers.") or name in ("layer_norm.weight", "conv2.bias", "conv3.bias"):
            yield name, values
        elif name.endswith("_add_tensor"):
            yield name.removesuffix("_add_tensor"), values
        elif name in _GROUP_NORM:
            yield _GROUP_NORM[name], values[:, 0]


def main(source: str, output: str) -> None:
    session = InferenceSession.GetRootAsInferenceSession(Path(source).read_bytes(), 0)
    model = MoonshineModel(MoonshineConfig(decoder_num_hidden_layers=1, vocab_size=8, pad_token_id=0))
    found = {name: torch.from_numpy(np.array(v, np.float32)) for name, v in weights(session.Model().Graph())}
    model.encoder.load_state_dict(found)
    model.save_pretrained(output)
    print(f"{output}: {len(found)} tensors; train with: dithead train audio --lip-predictor {output} ...")


if __name__ == "__main__":
    main(*sys.argv[1:])
