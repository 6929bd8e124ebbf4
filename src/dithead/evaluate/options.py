"""The options of an evaluation, each written once: its name, type, default, range and what it does.

``evaluate_model`` and the command line both read them here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dithead.engine import Engine
from dithead.errors import ConfigError

PROTOCOLS = ("self", "cross", "silent", "mask")


def _about(text: str, **more: Any) -> dict[str, Any]:
    """The metadata of an option: its help, and for the command line ``flag``, ``cli_type`` and ``minimum``."""
    return {"help": text, **more}


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """How a model is evaluated.

    Raises:
        ConfigError: A protocol is unknown, or a number of steps is not positive.
    """

    steps: Sequence[int] | None = field(
        default=None,
        metadata=_about(
            "Sampling steps, repeatable: a row for each, the first is the headline; else the model's own number.",
            cli_type=list[int],
        ),
    )
    protocols: Sequence[str] = field(
        default=PROTOCOLS,
        metadata=_about(
            "self (own speech), cross (another clip's), silent (silence) or mask (does its shape leak?); repeatable, "
            "else all.",
            flag="--protocol",
            cli_type=list[str],
        ),
    )
    seed: int = field(default=0, metadata=_about("Seed of the noise: same seed, same output."))
    device: str = field(default="auto", metadata=_about("auto, cpu, cuda or mps."))
    weights: Mapping[str, Path | str] | None = field(
        default=None,
        metadata=_about(
            "Pretrained networks: lpips=FILE, inception=FILE, face=FILE or syncnet=FILE; repeatable.",
            cli_type=list[str],
        ),
    )
    baselines: Path | str | None = field(
        default=None,
        metadata=_about(
            "An earlier report on the same clips, from which the rows that need no model are taken.", cli_type=Path
        ),
    )
    engine: Engine = field(
        default="local",
        metadata=_about("Where clips are measured: local or ray (a cluster; it must share the report's folder)."),
    )
    workers: int = field(default=1, metadata=_about("Clips measured at once.", minimum=1))

    def __post_init__(self) -> None:
        unknown = sorted(set(self.protocols) - set(PROTOCOLS))
        if unknown or not self.protocols:
            raise ConfigError(f"unknown protocol {unknown}; choose from {', '.join(PROTOCOLS)}")
        if self.steps is not None and (not self.steps or min(self.steps) < 1):
            raise ConfigError(f"steps are {list(self.steps)}; give one positive number or more")
