"""The notebook runs from top to bottom, on a tiny untrained model instead of the shipped one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from dithead.checkpoint import build_model, save_model
from dithead.config import get_preset

EXAMPLES = Path(__file__).parents[1] / "examples"
CELLS = json.loads((EXAMPLES / "quickstart.ipynb").read_text("utf-8"))["cells"]


def test_it_is_stored_without_outputs():
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in CELLS)


def test_every_cell_runs(tmp_path, monkeypatch, capsys):
    """A kernel runs the cells one after the other with the same names; so does this."""
    torch.manual_seed(0)
    model = save_model(tmp_path / "tiny", build_model(get_preset("tiny").model))
    monkeypatch.chdir(EXAMPLES)
    names: dict[str, Any] = {}
    for cell in CELLS:
        if cell["cell_type"] != "code":
            continue
        exec("".join(cell["source"]), names)
        if "parameters" in cell["metadata"].get("tags", ()):
            names.update(model=str(model), output=str(tmp_path / "out.mp4"), seconds=0.4)
    assert (tmp_path / "out.mp4").is_file()
    assert len(names["frames"]) == pytest.approx(0.4 * names["made"].fps, abs=1)
    assert "credentials: embedded" in capsys.readouterr().out
