"""Are the networks of ``src/dithead/face/data`` those of the public ``mediapipe`` wheel? Make the files from it again.

    pip download --no-deps mediapipe==0.10.21
    pip install flatbuffers ai-edge-litert
    python experiments/face_networks_from_wheel.py mediapipe-0.10.21-*.whl out/face_networks

The detectors and the hand network are copied as they are. ``face_landmark_with_attention.tflite`` is cut in two where
MediaPipe's own operations are (11 of its 712): LiteRT does not know them, and ``face/networks/face_mesh.py`` does
their work with NumPy. No number of any network changes.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from dithead.face.networks.runtime import NETWORKS

COPIED = {
    "face_detection_short_range": "face_detection",
    "face_detection_full_range_sparse": "face_detection",
    "palm_detection_lite": "palm_detection",
    "hand_landmark_lite": "hand_landmark",
}
"""Network -> its folder in ``mediapipe/modules``."""
MESH = "mediapipe/modules/face_landmark/face_landmark_with_attention.tflite"
IMAGE, FEATURES, LANDMARKS, SCORE = "input_1", "p_re_lu_3", "output_mesh", "conv_faceflag"
"""Tensors of the first half: its input, the map of features, the mesh and the score."""
WINDOWS = ("transform_tensor_bilinear_v2", "transform_tensor_bilinear_v2_1", "transform_tensor_bilinear_v2_2")
"""Inputs of the second half: the map of features in the windows of the lips, the right and the left eye."""
REFINED = ("reshape_1", "reshape_3", "reshape_4", "reshape_6", "reshape_7")
"""Outputs of the second half: lips, right eye, right iris, left eye, left iris, each in its window."""


def main() -> int:
    """Write the files and return 0 where every hash is the one in ``NETWORKS``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path, help="mediapipe-0.10.21-*.whl")
    parser.add_argument("out", type=Path, help="folder for the files")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    alike = True
    for name, content in networks_of(arguments.wheel).items():
        (arguments.out / f"{name}.tflite").write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        alike &= NETWORKS.get(name) == digest
        print(f"{digest}  {len(content):>8}  {name}  {'as shipped' if NETWORKS.get(name) == digest else 'DIFFERS'}")
    return 0 if alike else 1


def networks_of(wheel: Path) -> dict[str, bytes]:
    """Return the content of every network file, made from a wheel of mediapipe."""
    with zipfile.ZipFile(wheel) as archive:
        made = {name: archive.read(f"mediapipe/modules/{folder}/{name}.tflite") for name, folder in COPIED.items()}
        mesh = archive.read(MESH)
    made["face_mesh"] = cut(mesh, [IMAGE], [LANDMARKS, SCORE, FEATURES])
    made["face_mesh_refinement"] = cut(mesh, WINDOWS, REFINED)
    return made


def cut(content: bytes, inputs: Iterable[str], outputs: Iterable[str]) -> bytes:
    """Return the part of a network between some of its tensors, which are named."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    (graph,) = model.subgraphs
    number = {tensor.name.decode(): index for index, tensor in enumerate(graph.tensors)}
    first, last = [number[name] for name in inputs], [number[name] for name in outputs]
    graph.operators = _operators_between(graph.operators, set(first), set(last))
    graph.inputs, graph.outputs = np.array(first, np.int32), np.array(last, np.int32)
    model.signatureDefs = model.metadata = None
    _drop_unused(model)
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _operators_between(operators: list[Any], inputs: set[int], outputs: set[int]) -> list[Any]:
    needed, kept = set(outputs), []
    for operator in reversed(operators):
        made = {int(index) for index in operator.outputs}
        if made & needed and not made <= inputs:
            kept.append(operator)
            needed |= {int(index) for index in operator.inputs}
    return kept[::-1]


def _drop_unused(model: Any) -> None:
    """Renumber the tensors, buffers and kinds of operations that are still used, and forget the rest."""
    (graph,) = model.subgraphs
    used = {int(i) for operator in graph.operators for i in (*operator.inputs, *operator.outputs) if i >= 0}
    tensors = sorted(used | {int(i) for i in (*graph.inputs, *graph.outputs)})
    tensor_number = {old: new for new, old in enumerate(tensors)} | {-1: -1}
    graph.tensors = [graph.tensors[old] for old in tensors]
    for holder in (graph, *graph.operators):
        holder.inputs = np.array([tensor_number[int(i)] for i in holder.inputs], np.int32)
        holder.outputs = np.array([tensor_number[int(i)] for i in holder.outputs], np.int32)
    buffers = [0, *sorted({tensor.buffer for tensor in graph.tensors} - {0})]  # number 0 is empty by convention
    model.buffers = [model.buffers[old] for old in buffers]
    for tensor in graph.tensors:
        tensor.buffer = buffers.index(tensor.buffer)
    codes = sorted({operator.opcodeIndex for operator in graph.operators})
    model.operatorCodes = [model.operatorCodes[old] for old in codes]
    for operator in graph.operators:
        operator.opcodeIndex = codes.index(operator.opcodeIndex)


if __name__ == "__main__":
    sys.exit(main())
