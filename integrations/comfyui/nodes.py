"""The ComfyUI node: VIDEO or IMAGE and AUDIO in, VIDEO and IMAGE out.

The node writes its video into ComfyUI's output folder itself, because that file bears the signed Content Credentials;
a node that encodes or copies the streams anew leaves them out. The invisible mark is in the pictures and stays.
"""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import folder_paths
import torch
from comfy_api.v0_0_2 import ComfyAPISync, ComfyExtension, InputImpl, io, ui

from dithead import ConfigError, DitheadPipeline
from dithead.media.video import probe, read_frames
from dithead.option_fields import choices_of, option_fields
from dithead.options import GenerateOptions

_OPTIONS = {each.name: each for each in option_fields(GenerateOptions)}
_MOST_SEED = 2**32 - 1


def _tip(name: str) -> str:
    """Return the help text of an option of ``generate``, where it is written once."""
    return str(_OPTIONS[name].metadata["help"])


class DitheadSpeak(io.ComfyNode):
    """A person in a video or a picture says what the sound says."""

    @classmethod
    def define_schema(cls) -> Any:
        """Return the node's inputs and outputs."""
        return io.Schema(
            node_id="DitheadSpeak",
            display_name="Make a person speak (dithead)",
            category="video/dithead",
            description="Redraws the mouth of the person in a video or picture so that the lips follow the speech.",
            inputs=[
                io.Audio.Input("audio", tooltip="The speech."),
                io.Video.Input("video", optional=True, tooltip="A video of the person; give this or images."),
                io.Image.Input("images", optional=True, tooltip="One picture, or the frames of a video."),
                io.Float.Input("fps", default=25.0, min=1.0, max=120.0, step=0.01, tooltip="Frame rate of images."),
                io.Int.Input(
                    "seed", default=0, min=0, max=_MOST_SEED, control_after_generate=True, tooltip=_tip("seed")
                ),
                io.Int.Input(
                    "steps", default=0, min=0, max=_OPTIONS["steps"].metadata["maximum"],
                    tooltip=_tip("steps") + " 0: the model's own.",
                ),
                io.Combo.Input(
                    "fit", options=list(choices_of(GenerateOptions, _OPTIONS["fit"])),
                    default=_OPTIONS["fit"].default, tooltip=_tip("fit"),
                ),
                io.String.Input("face", default=_OPTIONS["face"].default, tooltip=_tip("face")),
                io.String.Input("model", default=_OPTIONS["model"].default, tooltip=_tip("model")),
                io.String.Input("consent", default="", tooltip=_tip("consent")),
                io.String.Input("filename_prefix", default="video/dithead", tooltip="Where the signed video goes."),
                io.Boolean.Input(
                    "return_images", default=True,
                    tooltip="Off: no IMAGE output, which takes much memory for long videos.",
                ),
            ],
            outputs=[io.Video.Output(display_name="video"), io.Image.Output(display_name="images")],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, face: str) -> bool | str:
        """Return True, or say in one line what is wrong, before anything runs."""
        try:
            GenerateOptions(face=face)
        except ConfigError as error:
            return str(error)
        return True

    @classmethod
    def execute(
        cls, audio: dict[str, Any], fps: float, video: Any = None, images: Any = None, filename_prefix: str = "dithead",
        return_images: bool = True, model: str = "small", **options: Any,
    ) -> Any:  # fmt: skip
        """Make the video; see ``define_schema``."""
        if (video is None) == (images is None):
            raise ValueError("connect either video or images, not both")
        waveform = audio["waveform"]
        if waveform.shape[0] != 1:
            raise ValueError(f"audio must be one track, not a batch of {waveform.shape[0]}")
        options["steps"] = options.get("steps") or None
        options["consent"] = options.get("consent") or None
        with tempfile.TemporaryDirectory(prefix="dithead-") as folder:
            source = _source(video, images, Path(folder))
            output, saved = _place(filename_prefix, source)
            made = _pipeline(model)(
                source, waveform, output, fps=fps, sample_rate=int(audio["sample_rate"]),
                progress=_Progress(cls.hidden.unique_id), **options,
            )  # fmt: skip
        frames = _images(made.path) if return_images else None
        return io.NodeOutput(InputImpl.VideoFromFile(str(made.path)), frames, ui=ui.PreviewVideo([saved]))


@lru_cache(maxsize=1)
def _pipeline(model: str) -> DitheadPipeline:
    """Load a model, or keep the one used last."""
    return DitheadPipeline.from_pretrained(model).to("auto")


def _source(video: Any, images: Any, folder: Path) -> Any:
    """Return frames, one picture, or the file of a video; a video that was cut or cropped is written first."""
    if video is None:
        return images[0] if len(images) == 1 else images
    file = video.get_stream_source()
    if isinstance(file, str) and video.get_active_trim_window() == (0.0, 0.0):
        info = probe(file)
        if sorted((info.width, info.height)) == sorted(video.get_dimensions()):
            return file
    video.save_to(str(folder / "source.mp4"))
    return str(folder / "source.mp4")


def _place(prefix: str, source: Any) -> tuple[Path, Any]:
    """Return the file to write in ComfyUI's output folder, and how the page finds it."""
    if isinstance(source, str):
        info = probe(source)
        width, height = info.width, info.height
    else:
        height, width = source.shape[-3:-1]
    folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
        prefix, folder_paths.get_output_directory(), width, height
    )
    file = f"{name}_{counter:05}_.mp4"
    return Path(folder) / file, ui.SavedResult(file, subfolder, io.FolderType.output)


def _images(path: Path) -> torch.Tensor:
    """Return the frames as ComfyUI has them: (T, H, W, 3) floats in [0, 1]."""
    return torch.stack([torch.from_numpy(frame.pixels).float() / 255 for frame in read_frames(path)])


class _Progress:
    """Shows progress on the node, and stops the work when the user does."""

    def __init__(self, node: str) -> None:
        self.node, self.api = node, ComfyAPISync()

    def __call__(self, what: str, done: int, total: int | None) -> None:  # noqa: ARG002 - the signature of a callback
        from comfy.model_management import throw_exception_if_processing_interrupted

        throw_exception_if_processing_interrupted()
        if total:
            self.api.execution.set_progress(value=done, max_value=total, node_id=self.node)


class DitheadExtension(ComfyExtension):
    """The nodes of this folder."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Return the nodes."""
        return [DitheadSpeak]


async def comfy_entrypoint() -> DitheadExtension:
    """Return the extension; ComfyUI calls it once."""
    return DitheadExtension()
