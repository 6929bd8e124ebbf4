"""What synthetic people need from the machine: a head model, an OpenGL driver, espeak-ng. Each may be absent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dithead.errors import DitheadError

HEAD_VARIABLE = "DITHEAD_HEAD_MODEL"


@pytest.fixture(scope="session")
def head_folder() -> Path:
    folder = os.environ.get(HEAD_VARIABLE)
    if not folder:
        pytest.skip(f"no head model: set {HEAD_VARIABLE} to its folder")
    return Path(folder)


@pytest.fixture(scope="session")
def body(head_folder: Path):
    from dithead.synth.assets import load_head
    from dithead.synth.body import Body

    return Body(load_head(head_folder))


@pytest.fixture(scope="session")
def espeak() -> None:
    from dithead.synth.speech import version

    try:
        version()
    except DitheadError as error:
        pytest.skip(str(error))


@pytest.fixture
def stage() -> Iterator:
    from dithead.synth.render import Stage

    try:
        made = Stage(64, 48, supersample=1.0)
    except DitheadError as error:
        pytest.skip(str(error))
    with made:
        made.picture("background", np.zeros((4, 4, 3), np.uint8))
        made.picture("plain", np.full((4, 4, 4), 255, np.uint8))
        yield made
