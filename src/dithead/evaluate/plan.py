"""What one evaluation runs, checked before anything is written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dithead.checkpoint import load_model
from dithead.device import pick_device
from dithead.errors import ConfigError
from dithead.evaluate.experts import Experts
from dithead.evaluate.report_folder import claim, fingerprint
from dithead.evaluate.test_clips import drivers_of, held_out, is_dataset, videos_in, write_held_out

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead

PROTOCOLS = ("self", "cross", "silent", "mask")


@dataclass(frozen=True)
class Plan:
    """One evaluation: what runs, on what, and where it goes. ``drivers``: clip -> whose audio drives it.

    It travels to other processes: networks stay behind and are loaded there, once a process.
    """

    name: str
    model: str | TalkingHead
    videos: dict[str, Path]
    drivers: dict[str, str]
    output: Path
    steps: tuple[int, ...]
    protocols: tuple[str, ...]
    seed: int
    device: str
    weights: tuple[tuple[str, str], ...]
    baselines: Path | None
    settings: dict[str, Any]

    @cached_property
    def talker(self) -> TalkingHead:
        return _talker(self.model, self.device) if isinstance(self.model, str) else self.model

    @cached_property
    def experts(self) -> Experts:
        return _experts(self.weights)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key not in ("talker", "experts")}

    def absolute(self) -> Plan:
        """The same with absolute paths: the workers of a cluster start in other folders."""
        videos = {name: path.absolute() for name, path in self.videos.items()}
        earlier = None if self.baselines is None else self.baselines.absolute()
        model = str(Path(self.model).absolute()) if isinstance(self.model, str) and Path(self.model).is_dir() else None
        weights = tuple((name, str(Path(path).absolute())) for name, path in self.weights)
        return replace(
            self, videos=videos, output=self.output.absolute(), baselines=earlier, weights=weights,
            model=model or self.model,
        )  # fmt: skip

    def video(self, row: str, name: str, protocol: str = "self") -> Path:
        """Where a row's video of a clip lies; its folder is made."""
        path = self.output / "videos" / row / protocol / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def make_plan(
    model: str | Path | TalkingHead,
    data: Path,
    output: Path,
    steps: Sequence[int] | None,
    protocols: Sequence[str],
    seed: int,
    device: str,
    weights: Mapping[str, Path | str] | None,
    baselines: Path | str | None = None,
) -> Plan:
    """Check the request, claim the report's folder, and lay the clips ready.

    ``data`` is a folder of videos, or a prepared dataset: then its held-out people's crops are taken. ``steps`` are the
    model's own when None.
    """
    _check(steps, protocols)
    given = tuple((name, str(path)) for name, path in (weights or {}).items())
    experts = _experts(given)
    clips = held_out(data) if is_dataset(data) else []
    videos = {} if clips else videos_in(data)
    drivers = drivers_of([clip.id for clip in clips] or list(videos)) if "cross" in protocols else {}
    kept = str(model) if isinstance(model, str | Path) else model
    talker = _talker(kept, device) if isinstance(kept, str) else kept
    name = kept if isinstance(kept, str) else talker.config.name
    steps = steps or (talker.config.steps,)
    settings = {
        "model": name,
        "model_sha256": fingerprint(talker),
        "data": str(data),
        "steps": list(steps),
        "protocols": list(protocols),
        "seed": seed,
        "device": device,
        "weights": {name: str(path) for name, path in experts.weights.items()},
    }
    earlier = None if baselines is None else _same_measures(Path(baselines), settings)
    claim(output, settings)
    if clips:
        videos = write_held_out(clips, output / "videos" / "input")
    return Plan(
        name, kept, videos, drivers, output, tuple(steps), tuple(protocols), seed, device, given, earlier, settings
    )


@lru_cache(maxsize=1)
def _talker(model: str, device: str) -> TalkingHead:
    return load_model(model, device=pick_device(device))


@lru_cache(maxsize=1)
def _experts(weights: tuple[tuple[str, str], ...]) -> Experts:
    return Experts(dict(weights))


def _same_measures(report: Path, settings: dict[str, Any]) -> Path:
    """The earlier report, if it measured the same clips by the same protocols and weights. Raises ConfigError."""
    try:
        earlier = json.loads((report / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{report}: no report to take baselines from ({error})") from None
    for key in ("data", "protocols", "weights"):
        if earlier.get(key) != settings[key]:
            raise ConfigError(f"{report}: has other {key}, so its baselines do not fit; leave --baselines out")
    return report


def _check(steps: Sequence[int] | None, protocols: Sequence[str]) -> None:
    unknown = sorted(set(protocols) - set(PROTOCOLS))
    if unknown or not protocols:
        raise ConfigError(f"unknown protocol {unknown}; choose from {', '.join(PROTOCOLS)}")
    if steps is not None and (not steps or min(steps) < 1):
        raise ConfigError(f"steps are {list(steps)}; give one positive number or more")
