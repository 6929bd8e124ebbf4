"""Prepares an evaluation: checks the request, reserves the report's folder and lays out the clips."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dithead.checkpoint import load_model
from dithead.device import pick_device
from dithead.errors import ConfigError
from dithead.evaluate.baselines import LABELS, TRUTH
from dithead.evaluate.evaluation_clips import (
    has_sound,
    is_dataset,
    list_videos,
    pair_drivers,
    validation_clips,
    write_clips,
)
from dithead.evaluate.network_measures import NetworkMeasures
from dithead.evaluate.options import UNTAUGHT, EvaluateOptions
from dithead.evaluate.report_folder import claim_folder, hash_weights
from dithead.evaluate.source_files import clip_fingerprints, discard_replaced
from dithead.limits import parse_json, read_text
from dithead.media.files import file_fingerprint
from dithead.prepare.dataset import Clip

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead


@dataclass(frozen=True)
class EvaluationPlan:
    """One evaluation: what is measured, on which clips, and where it is written.

    It can be sent to other processes: networks are left out and loaded there, once in each process.

    Attributes:
        name: Name of the model for readers.
        model: The model, or where to load it from.
        videos: Clip -> its video.
        drivers: Clip -> the clip whose speech drives it in the protocol ``cross``, where another clip has sound.
        output: Folder of the report.
        steps: Numbers of sampling steps; the first is the headline.
        options: The options that were asked for.
        settings: What ``report.json`` says about this run.
        replaced: Clips that are measured again, because the video or that of the driver was replaced.
        watch: Called with what is being done within a clip, in this process only.
    """

    name: str
    model: str | TalkingHead
    videos: dict[str, Path]
    drivers: dict[str, str]
    output: Path
    steps: tuple[int, ...]
    options: EvaluateOptions
    settings: dict[str, Any]
    replaced: tuple[str, ...] = ()
    watch: Callable[[str], None] | None = None

    @cached_property
    def loaded_model(self) -> TalkingHead:
        """The model, loaded on the device that was asked for."""
        return _load_model(self.model, self.options.device) if isinstance(self.model, str) else self.model

    @cached_property
    def networks(self) -> NetworkMeasures:
        """The pretrained networks for measures."""
        return _load_networks(_weight_items(self.options.weights))

    @property
    def baselines(self) -> dict[str, str]:
        """The rows that are measured beside the model's, with their names, as far as a protocol has them."""
        asked = set(self.options.protocols)
        if asked <= {*UNTAUGHT, "mask"}:
            return {}
        return {row: label for row, label in LABELS.items() if row != TRUTH or asked & {"self", "cross"}}

    def __getstate__(self) -> dict[str, Any]:
        state = {key: value for key, value in vars(self).items() if key not in ("loaded_model", "networks")}
        return state | {"watch": None}

    def absolute(self) -> EvaluationPlan:
        """Return the plan with absolute paths, since the workers of a cluster start in other folders."""
        options, model = self.options, self.model
        if isinstance(model, str) and Path(model).is_dir():
            model = str(Path(model).absolute())
        weights = {name: Path(path).absolute() for name, path in (options.weights or {}).items()}
        baselines = None if options.baselines is None else Path(options.baselines).absolute()
        return replace(
            self,
            model=model,
            videos={name: path.absolute() for name, path in self.videos.items()},
            output=self.output.absolute(),
            options=replace(options, weights=weights, baselines=baselines),
        )

    def video(self, row: str, clip: str, protocol: str = "self") -> Path:
        """Return where a row's video of a clip belongs, and create its folder."""
        path = self.output / "videos" / row / protocol / f"{clip}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def make_plan(model: str | Path | TalkingHead, data: Path, output: Path, options: EvaluateOptions) -> EvaluationPlan:
    """Check the request, reserve the report's folder and write the clips of a dataset as videos.

    Args:
        model: A loaded model, a shipped name, a model folder or a hub id.
        data: Folder of videos, or a prepared dataset, of which the crops of people held out from training are taken.
        output: Folder of the report.
        options: How to evaluate.

    Raises:
        ConfigError: The weights or the earlier report do not fit.
        DataError: There are no clips, or fewer than the protocol ``cross`` needs.
        OutputError: The folder holds something else.
    """
    networks = _load_networks(_weight_items(options.weights))
    clips = validation_clips(data) if is_dataset(data) else []
    videos = {} if clips else list_videos(data)
    drivers = _pair(clips, videos) if "cross" in options.protocols else {}
    source = str(model) if isinstance(model, str | Path) else model
    loaded = _load_model(source, options.device) if isinstance(source, str) else source
    name = source if isinstance(source, str) else loaded.config.name
    steps = tuple(options.steps or (loaded.config.steps,))
    settings = {
        "model": name,
        "model_sha256": hash_weights(loaded),
        "data": str(data),
        "steps": list(steps),
        "protocols": list(options.protocols),
        "seed": options.seed,
        "as_drawn": options.as_drawn,
        "device": options.device,
        "weights": {network: str(path) for network, path in networks.weights.items()},
    }
    if options.baselines is not None:
        _check_baselines(Path(options.baselines), settings)
    claim_folder(output, settings)
    files = {name: [file_fingerprint(path)] for name, path in videos.items()}
    files |= {clip.id: clip_fingerprints(clip) for clip in clips}
    replaced = discard_replaced(output, files, drivers)
    if clips:
        videos = write_clips(clips, output / "videos" / "input")
    return EvaluationPlan(name, source, videos, drivers, output, steps, options, settings, replaced)


def _pair(clips: list[Clip], videos: Mapping[str, Path]) -> dict[str, str]:
    """Clip -> its driver, of the clips of a dataset or of videos."""
    if clips:
        return pair_drivers([clip.id for clip in clips], {clip.id for clip in clips if clip.has_speech})
    return pair_drivers(list(videos), {name for name, path in videos.items() if has_sound(path)})


@lru_cache(maxsize=1)
def _load_model(model: str, device: str) -> TalkingHead:
    return load_model(model, device=pick_device(device))


@lru_cache(maxsize=1)
def _load_networks(weights: tuple[tuple[str, str], ...]) -> NetworkMeasures:
    return NetworkMeasures(dict(weights))


def _weight_items(weights: Mapping[str, Path | str] | None) -> tuple[tuple[str, str], ...]:
    """The weights in a form that a cache can look up."""
    return tuple((name, str(path)) for name, path in (weights or {}).items())


def _check_baselines(report: Path, settings: dict[str, Any]) -> None:
    """Check that an earlier report measured the same clips by the same protocols and weights. Raises ConfigError."""
    try:
        earlier = parse_json(read_text(report / "config.json", "the file", ConfigError))
    except (ConfigError, ValueError) as error:
        raise ConfigError(f"{report}: no report to take baselines from ({error})") from None
    for key in ("data", "protocols", "weights"):
        if earlier.get(key) != settings[key]:
            raise ConfigError(f"{report}: has other {key}, so its baselines do not fit; leave --baselines out")
