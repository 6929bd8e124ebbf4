"""Write the encoder of Moonshine tiny for `dithead train audio --lip-predictor`, as a folder, from a Python wheel.

It answers no question: it prepares the training of the shipped model where the hub cannot be reached. Otherwise
`--lip-predictor UsefulSensors/moonshine-tiny` needs nothing of this. Moonshine (Moonshine AI, MIT; Jeffries et al.
2024) was made to transcribe English; some versions of the package moonshine-voice carry it as an onnxruntime file of
8-bit weights.

    pip download --no-deps moonshine-voice==0.0.69 && unzip -j moonshine_voice-*.whl '*tiny-en/encoder_model.ort'
    pip install onnxruntime flatbuffers
    python experiments/moonshine_from_wheel.py encoder_model.ort out/moonshine
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shared import make_parser

TYPES = {1: np.float32, 2: np.uint8}  # of onnxruntime's tensors
PRODUCT = re.compile(r"/layers\.(\d)/(self_attn|mlp)/(\w+)/")
GROUP_NORM = {"onnx::Mul_2080": "groupnorm.weight", "onnx::Add_2081": "groupnorm.bias"}
Arrays = dict[str, np.ndarray]


def constants_of(graph: Any) -> Arrays:
    """Return the graph's constants by name."""
    constants = {}
    for tensor in (graph.Initializers(i) for i in range(graph.InitializersLength())):
        if tensor.DataType() in TYPES:
            values = tensor.RawDataAsNumpy().view(TYPES[tensor.DataType()])
            constants[tensor.Name().decode()] = values.reshape([tensor.Dims(j) for j in range(tensor.DimsLength())])
    return constants


def weights(graph: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the encoder's weights under the names that transformers gives them."""
    constants = constants_of(graph)
    for node in (graph.Nodes(i) for i in range(graph.NodesLength())):
        inputs = [node.Inputs(j).decode() for j in range(node.InputsLength())]
        matrix = next(
            (name for name in inputs if name.startswith("onnx::MatMul") and name.endswith("_quantized")), None
        )
        place = PRODUCT.search(node.Outputs(0).decode())
        if matrix is not None and place is not None:
            zero, scale = (float(constants[matrix.replace("quantized", part)]) for part in ("zero_point", "scale"))
            yield (
                f"layers.{place[1]}.{place[2]}.{place[3]}.weight",
                (constants[matrix].astype(np.float32) - zero).T * scale,
            )
    for name, values in constants.items():
        if name.startswith("layers.") or name in ("layer_norm.weight", "conv2.bias", "conv3.bias"):
            yield name, values
        elif name.endswith("_add_tensor"):
            yield name.removesuffix("_add_tensor"), values
        elif name in GROUP_NORM:
            yield GROUP_NORM[name], values[:, 0]


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("source", type=Path, help="encoder_model.ort")
    parser.add_argument("output", type=Path, help="folder to write")
    options = parser.parse_args()
    import onnxruntime.tools.ort_format_model.ort_flatbuffers_py.fbs  # noqa: F401  (the next import needs it)
    from onnxruntime.tools.ort_format_model.ort_flatbuffers_py.fbs.InferenceSession import InferenceSession
    from transformers import MoonshineConfig, MoonshineModel

    session = InferenceSession.GetRootAsInferenceSession(options.source.read_bytes(), 0)
    model = MoonshineModel(MoonshineConfig(decoder_num_hidden_layers=1, vocab_size=8, pad_token_id=0))
    tensors = {name: torch.from_numpy(np.array(v, np.float32)) for name, v in weights(session.Model().Graph())}
    model.encoder.load_state_dict(tensors)
    model.save_pretrained(options.output)
    print(f"{options.output}: {len(tensors)} tensors")
    print(f"train with: dithead train audio --lip-predictor {options.output} ...")


if __name__ == "__main__":
    main()
