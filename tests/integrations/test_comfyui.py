"""The ComfyUI node against a stand-in for ComfyUI, which is on no package index.

The stand-in takes the arguments that ComfyUI's ``comfy_api/latest`` declared in November 2026 as far as its sources
were read (the first part of ``_io.py``, and ComfyUI's own nodes), and refuses others. It shows nothing of its server
and page.
"""

from __future__ import annotations

import asyncio
import importlib.util
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from dithead.checkpoint import build_model, save_model
from dithead.config import get_preset
from dithead.media.video import read_frames

ROOT = Path(__file__).parents[2]
NODE = ROOT / "integrations" / "comfyui"
SOCKET = "id display_name optional tooltip lazy extra_dict raw_link"
WIDGET = SOCKET + " default socketless force_input"
ARGUMENTS = {
    "Audio": SOCKET,
    "Video": SOCKET,
    "Image": SOCKET,
    "Float": WIDGET + " min max step round display_mode",
    "Int": WIDGET + " min max step control_after_generate display_mode",
    "String": WIDGET + " multiline placeholder dynamic_prompts",
    "Boolean": WIDGET + " label_on label_off",
    "Combo": SOCKET + " options default control_after_generate upload image_folder remote socketless",
}


def taking(names: str, **more: Any) -> Any:
    """Return a class whose first positional argument is ``id`` and that refuses arguments it does not know."""

    class Declared(SimpleNamespace):
        def __init__(self, id: str | None = None, **arguments: Any) -> None:  # noqa: A002
            assert set(arguments) <= set(names.split()), arguments
            super().__init__(id=id, **arguments, **more)

    return Declared


@dataclass
class FileVideo:
    """What ComfyUI's ``VideoFromFile`` does, as far as the node uses it."""

    file: str
    trim: tuple[float, float] = (0.0, 0.0)

    def get_stream_source(self) -> str:
        return self.file

    def get_active_trim_window(self) -> tuple[float, float]:
        return self.trim

    def get_dimensions(self) -> tuple[int, int]:
        first = next(iter(read_frames(self.file))).pixels
        return first.shape[1], first.shape[0]

    def save_to(self, path: str) -> None:
        Path(path).write_bytes(Path(self.file).read_bytes())


@pytest.fixture
def comfy(tmp_path, monkeypatch):
    """Put the stand-in in place, load the node, and return it with what was reported to the page."""
    reports: list[tuple[float, float, str]] = []

    class Sync:
        def __init__(self) -> None:
            self.execution = SimpleNamespace(
                set_progress=lambda *, value, max_value, node_id: reports.append((value, max_value, node_id))
            )

    kinds = {
        name: SimpleNamespace(
            Input=taking(names, kind=name), Output=taking("display_name tooltip is_output_list", kind=name)
        )
        for name, names in ARGUMENTS.items()
    }
    io = SimpleNamespace(
        ComfyNode=type("ComfyNode", (), {"hidden": SimpleNamespace(unique_id="7")}),
        Schema=taking("node_id display_name category inputs outputs hidden description is_output_node search_aliases"),
        Hidden=SimpleNamespace(unique_id="UNIQUE_ID"),
        FolderType=SimpleNamespace(output="output"),
        NodeOutput=lambda *values, ui=None: SimpleNamespace(result=values, ui=ui),
        **kinds,
    )
    api = ModuleType("comfy_api.v0_0_2")
    api.__dict__.update(
        ComfyAPISync=Sync, ComfyExtension=object, io=io, InputImpl=SimpleNamespace(VideoFromFile=FileVideo),
        ui=SimpleNamespace(PreviewVideo=list, SavedResult=lambda *parts: parts),
    )  # fmt: skip
    folders = ModuleType("folder_paths")
    folders.get_output_directory = lambda: str(tmp_path)
    folders.get_save_image_path = lambda prefix, folder, *size: (folder, Path(prefix).name, 1, "", prefix)
    management = ModuleType("comfy.model_management")
    management.throw_exception_if_processing_interrupted = lambda: None
    modules = {
        "comfy_api": ModuleType("comfy_api"), "comfy_api.v0_0_2": api, "folder_paths": folders,
        "comfy": ModuleType("comfy"), "comfy.model_management": management,
    }  # fmt: skip
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    spec = importlib.util.spec_from_file_location(
        "dithead_comfyui", NODE / "__init__.py", submodule_search_locations=[str(NODE)]
    )
    package = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "dithead_comfyui", package)
    spec.loader.exec_module(package)
    yield SimpleNamespace(package=package, reports=reports, management=management)
    sys.modules.pop("dithead_comfyui.nodes", None)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    torch.manual_seed(0)
    return str(save_model(tmp_path_factory.mktemp("model") / "tiny", build_model(get_preset("tiny").model)))


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    frames = read_frames(ROOT / "examples" / "presenters" / "mia.mp4")
    return torch.from_numpy(np.stack([next(frames).pixels[::2, ::2] for _ in range(5)])).float() / 255


@pytest.fixture
def audio() -> dict[str, Any]:
    sound = 0.3 * torch.sin(torch.arange(4800) * 0.2)
    return {"waveform": sound.repeat(1, 2, 1), "sample_rate": 24000}


def node_of(comfy: Any) -> Any:
    extension = asyncio.run(comfy.package.comfy_entrypoint())
    [node] = asyncio.run(extension.get_node_list())
    return node


def test_the_schema_is_what_comfyui_takes(comfy):
    schema = node_of(comfy).define_schema()
    assert [each.kind for each in schema.outputs] == ["Video", "Image"]
    assert {"audio", "video", "images", "seed"} <= {each.id for each in schema.inputs}
    assert not {"credentials", "watermark"} & {each.id for each in schema.inputs}, "the marks stay on"
    node = node_of(comfy)
    assert node.validate_inputs(face="left") is True
    assert "face must be" in node.validate_inputs(face="nobody")


def test_frames_and_sound_become_a_signed_video_and_frames(comfy, model, images, audio):
    options = {"fps": 25.0, "seed": 2, "steps": 0, "fit": "cut", "face": "largest", "consent": "", "model": model}
    made = node_of(comfy).execute(audio=audio, images=images, filename_prefix="video/talk", **options)
    video, frames = made.result
    assert Path(video.file).name == "talk_00001_.mp4"
    assert b"c2pa" in Path(video.file).read_bytes(), "the credentials are in the file"
    assert frames.shape == images.shape
    assert frames.dtype == torch.float32
    assert 0 <= frames.min() < frames.max() <= 1
    assert made.ui == [("talk_00001_.mp4", "", "output")]
    assert comfy.reports
    assert all(0 <= value <= most and node == "7" for value, most, node in comfy.reports)


def test_what_the_node_refuses_and_an_interruption(comfy, model, images, audio):
    node, options = node_of(comfy), {"fps": 25.0, "seed": 0, "model": model}
    with pytest.raises(ValueError, match="either video or images"):
        node.execute(audio=audio, **options)
    with pytest.raises(ValueError, match="batch of 2"):
        node.execute(audio=audio | {"waveform": audio["waveform"].repeat(2, 1, 1)}, images=images, **options)

    def stop() -> None:
        raise KeyboardInterrupt

    comfy.management.throw_exception_if_processing_interrupted = stop
    with pytest.raises(KeyboardInterrupt):
        node.execute(audio=audio, images=images, **options)


def test_a_cut_video_is_written_first(comfy, tmp_path):
    source = sys.modules["dithead_comfyui.nodes"]._source
    file = str(ROOT / "examples" / "presenters" / "mia.mp4")
    assert source(FileVideo(file), None, tmp_path) == file
    assert source(FileVideo(file, (1.0, 2.0)), None, tmp_path) == str(tmp_path / "source.mp4")
    assert (tmp_path / "source.mp4").is_file()


def test_no_package_that_comfyui_installs_is_held_back():
    """Upper bounds could replace packages of ComfyUI by older ones; these two are not among its requirements."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    capped = {re.match(r"[\w-]+", each)[0] for each in project["dependencies"] if "<" in each or "==" in each}
    assert capped == {"c2pa-python", "opencv-python-headless"}
    node = tomllib.loads((NODE / "pyproject.toml").read_text("utf-8"))
    assert node["project"]["dependencies"] == (NODE / "requirements.txt").read_text("utf-8").split()
    assert set(node["tool"]["comfy"]) >= {"PublisherId", "DisplayName"}
