"""The examples of the how-to page run as they stand there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dithead.checkpoint import save_model

from .processes import Cluster

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "serve.md"
SHELL = [block for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.S) if "curl " in block]
PYTHON = next(
    block for block in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.S) if "Client(" in block
)


def test_the_page_has_examples_of_every_step() -> None:
    text = "".join(SHELL)
    for step in (
        "/v1/uploads",
        "Upload-Offset",
        "/v1/jobs",
        "/events",
        "/result",
        "/cancel",
        "DELETE",
        "Idempotency-Key",
    ):
        assert step in text


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_examples_run(tmp_path: Path, talker: Any, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(files["mia.mp4"], tmp_path / "face.mp4")
    shutil.copy(files["speech.wav"], tmp_path / "speech.wav")
    cluster = Cluster(tmp_path, save_model(tmp_path / "tiny", talker))
    cluster.serve(workers=1)
    try:
        cluster.ready()
        address = f"http://127.0.0.1:{cluster.port}"
        script = "set -euo pipefail\n" + "\n".join(SHELL)
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, env=os.environ | {"SERVER": address}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert '"state":"done"' in done.stdout
        assert '"offset":1000' in done.stdout
        assert (tmp_path / "first-try.mp4").stat().st_size > 1000
        assert "AI-generated" in done.stdout
        monkeypatch.chdir(tmp_path)
        exec(PYTHON.replace("http://127.0.0.1:8710", address), {})
        assert (tmp_path / "out.mp4").stat().st_size > 1000
    finally:
        cluster.stop()
