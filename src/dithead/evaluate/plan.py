"""What one evaluation runs, checked before anything is written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dithead.checkpoint import load_model
from dithead.errors import ConfigError
from dithead.evaluate.corpus import drivers_of, held_out, is_dataset, videos_in, write_held_out
from dithead.evaluate.experts import Experts
from dithead.evaluate.folder import claim, fingerprint
from dithead.generate.pipeline import pick_device

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead

PROTOCOLS = ("self", "cross", "silent")


@dataclass(frozen=True)
class Plan:
    """One evaluation: what runs, on what, and where it goes. ``drivers``: clip -> whose audio drives it."""

    name: str
    talker: TalkingHead
    videos: dict[str, Path]
    drivers: dict[str, str]
    output: Path
    steps: tuple[int, ...]
    protocols: tuple[str, ...]
    seed: int
    experts: Experts
    baselines: Path | None
    settings: dict[str, Any]

    def video(self, row: str, name: str, protocol: str = "self") -> Path:
        """Where a row's video of a clip lies; its folder is made."""
        path = self.output / "videos" / row / protocol / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def make_plan(
    model: str | Path | TalkingHead,
    data: Path,
    output: Path,
    steps: Sequence[int],
    protocols: Sequence[str],
    seed: int,
    device: str,
    weights: Mapping[str, Path | str] | None,
    baselines: Path | str | None = None,
) -> Plan:
    """Check the request, claim the report's folder, and lay the clips ready.

    ``data`` is a folder of videos, or a prepared dataset: then its held-out people's crops are taken.
    """
    _check(steps, protocols)
    experts = Experts(weights)
    clips = held_out(data) if is_dataset(data) else []
    videos = {} if clips else videos_in(data)
    drivers = drivers_of([clip.id for clip in clips] or list(videos)) if "cross" in protocols else {}
    talker = load_model(model, device=pick_device(device)) if isinstance(model, str | Path) else model
    name = str(model) if isinstance(model, str | Path) else talker.config.name
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
    return Plan(name, talker, videos, drivers, output, tuple(steps), tuple(protocols), seed, experts, earlier, settings)


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


def _check(steps: Sequence[int], protocols: Sequence[str]) -> None:
    unknown = sorted(set(protocols) - set(PROTOCOLS))
    if unknown or not protocols:
        raise ConfigError(f"unknown protocol {unknown}; choose from {', '.join(PROTOCOLS)}")
    if not steps or min(steps) < 1:
        raise ConfigError(f"steps are {list(steps)}; give one positive number or more")
