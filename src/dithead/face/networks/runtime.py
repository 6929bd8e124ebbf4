"""Load the networks of ``face/data`` by name, check their SHA-256 and run them with LiteRT.

The files come from the ``mediapipe`` wheel; ``experiments/face_networks_from_wheel.py`` makes them again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dithead.errors import ModelError

DATA = Path(__file__).parents[1] / "data"
"""Folder of the networks."""
NETWORKS = {
    "face_detection_full_range_sparse": "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",
    "face_detection_short_range": "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
    "face_mesh": "897102582c8ff746c852f320474c85687c73d70e9aa6217f7a3b8ee3d7928b3e",
    "face_mesh_refinement": "e68a8181ac0c24fe9ab600174fc461f63524a46d85622a8d578f01fcc4448336",
    "hand_landmark_lite": "048edd3645c9bf7397d19a9f6e3a42957d6e414c9bea6598030a2e9b624156e6",
    "palm_detection_lite": "e9a4aaddf90dda56a87235303cf00e4c2d3fb28725f68fd88772997dac905c18",
}
"""Network -> SHA-256 of its file ``NAME.tflite``."""
VERSIONS = {"numpy": ("NumPy", (1, 26), None), "cv2": ("OpenCV", (4, 8), (5,))}
"""Module -> its name, the oldest version, and the first that no longer fits: OpenCV 5 interpolates otherwise, which
moves landmarks by up to 0.02 pixels and cuts other crops than those that the models were trained on."""
REPAIRS = {"numpy": "pip install 'numpy>=1.26'", "cv2": "pip install 'opencv-python-headless>=4.8,<5'"}
"""Module -> the command that installs a version that fits."""
THREADS = 1
"""Threads of each network. Our choice: callers run one process per core already."""
_MISSING = (
    "the face networks need ai-edge-litert, which cannot be loaded here ({reason}); run: pip install "
    "'ai-edge-litert>=2.1' (wheels: Python 3.11 to 3.14 on Linux, on Windows x86-64 and on Macs with Apple silicon)"
)

Tensor = NDArray[np.float32]


class Network:
    """One network in memory. It is not safe to run it in two threads at once.

    Args:
        name: A key of ``NETWORKS``.

    Raises:
        ModelError: The file is missing or is not the one that belongs to this version, LiteRT is not installed, or
            another library has a version that does not fit.
    """

    def __init__(self, name: str) -> None:
        for module in VERSIONS:
            if wrong := wrong_version(module):
                raise ModelError(wrong)
        content = read_network(name)
        interpreter_class = load_interpreter()
        with quiet_native_logs():
            self._interpreter = interpreter_class(model_content=content, num_threads=THREADS)
            self._interpreter.allocate_tensors()
        self._inputs = [detail["index"] for detail in self._interpreter.get_input_details()]
        self._outputs = [detail["index"] for detail in self._interpreter.get_output_details()]

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        """Return the outputs, in the order of the file, for inputs in the order of the file; the first axis is 1."""
        for index, value in zip(self._inputs, inputs, strict=True):
            self._interpreter.set_tensor(index, value)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._outputs]


def wrong_version(module: str) -> str | None:
    """Return in one line what is wrong with the version of a library and what to run; None where it fits."""
    name, oldest, excluded = VERSIONS[module]
    found = str(import_module(module).__version__)
    numbers = tuple(int(number) for number in re.findall(r"\d+", found)[:3])
    if numbers >= oldest and (excluded is None or numbers < excluded):
        return None
    wanted = f"{'.'.join(map(str, oldest))} or later" + (f", before {excluded[0]}" if excluded else "")
    return f"{name} {found} is installed, but dithead needs {wanted}; run: {REPAIRS[module]}"


def read_network(name: str) -> bytes:
    """Return the content of a network's file.

    Raises:
        ModelError: The file is missing, or its SHA-256 is not the one in ``NETWORKS``.
    """
    file = DATA / f"{name}.tflite"
    try:
        content = file.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ModelError(f"the face network {file} cannot be read ({reason}); reinstall dithead") from error
    if hashlib.sha256(content).hexdigest() != NETWORKS[name]:
        raise ModelError(f"the face network {file} is damaged or was replaced (its SHA-256 differs); reinstall dithead")
    return content


def load_interpreter() -> Any:
    """Return LiteRT's class that runs networks.

    Raises:
        ModelError: It is not installed, or does not load on this machine.
    """
    try:
        with quiet_native_logs():
            from ai_edge_litert.interpreter import Interpreter
    except (ImportError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(_MISSING.format(reason=reason)) from error
    return Interpreter


@contextlib.contextmanager
def quiet_native_logs() -> Iterator[None]:
    """Discard what native code writes to stderr: LiteRT prints a banner that no setting turns off.

    Use it only while a network is built, so that later errors are still visible.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    stderr, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)
