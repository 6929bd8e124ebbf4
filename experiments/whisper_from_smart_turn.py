"""Write the encoder inside Smart Turn v3.2 as a Whisper folder that `dithead train audio --speech` reads.

It answers no question: it prepares the training of the shipped model where the hub cannot be reached. Otherwise
`--speech openai/whisper-tiny` needs nothing of this. Smart Turn (Daily, BSD-2-Clause) is Whisper tiny's encoder
(OpenAI, MIT), trained further to detect the end of a turn in 23 languages; the package
pipecat-ai carries it as an ONNX file of 8-bit weights.

    pip download --no-deps pipecat-ai==1.14.0 && unzip -j pipecat_ai-*.whl '*smart-turn-v3.2-cpu.onnx'
    pip install 'onnx<1.18'
    python experiments/whisper_from_smart_turn.py smart-turn-v3.2-cpu.onnx out/whisper
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from shared import make_parser

if TYPE_CHECKING:
    import onnx

PREFIX = "inner.encoder."
TINY = {"d_model": 384, "encoder_layers": 4, "encoder_attention_heads": 6, "encoder_ffn_dim": 1536}
NO_DECODER = {"decoder_layers": 1, "decoder_attention_heads": 6, "decoder_ffn_dim": 8, "vocab_size": 8}
NO_WORDS = {"pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0, "decoder_start_token_id": 0}


class Graph:
    """An ONNX graph whose constants are stored in eight bits with a scale for each row."""

    def __init__(self, path: Path) -> None:
        import onnx
        from onnx import numpy_helper

        graph = onnx.load(path).graph
        self.nodes = list(graph.node)
        self.stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self._made_by = {name: node for node in self.nodes for name in node.output}
        self._used_by: dict[str, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            for name in node.input:
                self._used_by.setdefault(name, []).append(node)

    def constant(self, name: str) -> np.ndarray | None:
        """Return the values of a constant, or None for what is computed."""
        if name in self.stored:
            return self.stored[name].astype(np.float32)
        node = self._made_by.get(name)
        if node is None or node.op_type != "DequantizeLinear" or node.input[0] not in self.stored:
            return None
        values, scale, zero = (self.stored[part].astype(np.float32) for part in node.input)
        axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
        shape = [1] * values.ndim
        if scale.ndim:
            shape[axis] = -1
        return (values - zero.reshape(shape)) * scale.reshape(shape)

    def bias_after(self, name: str) -> str | None:
        """Return the name of the bias that is added to ``name``, directly or after quantisation."""
        for node in self._used_by.get(name, []):
            if node.op_type == "Add":
                return next((part for part in node.input if part.startswith(PREFIX)), None)
            if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
                return self.bias_after(node.output[0])
        return None


def weights(graph: Graph) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the encoder's weights under the names that transformers gives them.

    The file names a matrix by its bias. Those of keys have none: they are found by the input that they share
    with queries.
    """
    products = [(n, graph.constant(n.input[1])) for n in graph.nodes if n.op_type == "MatMul"]
    linear = [(n, w.T, graph.bias_after(n.output[0])) for n, w in products if w is not None]
    queries = {n.input[0]: bias for n, _, bias in linear if bias and bias.endswith("q_proj.bias")}
    for node, matrix, bias in linear:
        if bias:
            yield bias.replace(".bias", ".weight"), matrix
        elif node.input[0] in queries:
            yield queries[node.input[0]].replace("q_proj.bias", "k_proj.weight"), matrix
    for node in graph.nodes:
        if node.op_type == "Conv":
            name = node.input[1].split("_Dequantize")[0]
            yield name, graph.constant(node.input[1])
            yield name.replace("weight", "bias"), graph.constant(node.input[2])
    for name, values in graph.stored.items():
        if name.endswith((".bias", ".weight")):
            yield name, values


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("source", type=Path, help="smart-turn-v3.2-cpu.onnx")
    parser.add_argument("output", type=Path, help="folder to write")
    options = parser.parse_args()
    from transformers import WhisperConfig, WhisperModel

    config = WhisperConfig(num_mel_bins=80, max_source_positions=400, **TINY, **NO_DECODER, **NO_WORDS)
    model = WhisperModel(config)
    tensors = {name.removeprefix(PREFIX): torch.from_numpy(np.array(value, np.float32))
               for name, value in weights(Graph(options.source)) if name.startswith(PREFIX)}  # fmt: skip
    model.encoder.load_state_dict(tensors)
    model.save_pretrained(options.output)
    print(f"{options.output}: {len(tensors)} tensors; train with: dithead train audio --speech {options.output} ...")


if __name__ == "__main__":
    main()
