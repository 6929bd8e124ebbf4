"""The options of an evaluation, each written once: its name, type, default, range and what it does.

``evaluate_model`` and the command line both read them here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dithead.device import known_device
from dithead.errors import ConfigError
from dithead.option_fields import MOST_SEED, MOST_STEPS, Engine, option
from dithead.option_values import settle, shown

PROTOCOLS = ("self", "cross", "silent", "portrait", "hidden", "mask")
UNTAUGHT = ("portrait", "hidden")
"""Protocols in which no talking frame of the person lends anything."""


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """How a model is evaluated.

    Raises:
        ConfigError: A protocol or the engine is unknown, or the workers or a number of steps are not positive.
    """

    steps: Sequence[int] | None = option(
        None,
        "Sampling steps, repeatable: a row for each, the first is the headline; else the model's own number.",
        minimum=1,
        maximum=MOST_STEPS,
    )
    protocols: Sequence[str] = option(
        PROTOCOLS,
        "self (own speech), cross (another clip's), silent (silence), portrait (own speech, of one closed picture), "
        "hidden (own speech, talking frames lend nothing) or mask (does its shape leak?); repeatable, else all.",
        flag="--protocol",
    )
    seed: int = option(0, "Seed of the noise: same seed, same output.", minimum=0, maximum=MOST_SEED)
    device: str = option("auto", "auto, cpu, cuda or mps.", convert=known_device, value="DEVICE")
    weights: Mapping[str, Path | str] | None = option(
        None, "Pretrained networks: lpips=FILE, inception=FILE, face=FILE or syncnet=FILE; repeatable."
    )
    as_drawn: bool = option(
        True,
        "Also measure the model's drawings as they are: without detail of the source's own pictures, and without "
        "pictures of the source in place of drawings that failed.",
    )
    baselines: Path | str | None = option(
        None, "An earlier report on the same clips, from which the rows that need no model are taken."
    )
    engine: Engine = option(
        "local", "Where clips are measured: local or ray (a cluster; it must share the report's folder)."
    )
    workers: int = option(1, "Clips measured at once.", minimum=1)

    def __post_init__(self) -> None:
        settle(self)
        for name in self.protocols or ("",):
            if name not in PROTOCOLS:
                raise ConfigError(f"protocols must be among {', '.join(PROTOCOLS)}, not {shown(name)}")
        if self.steps is not None and not self.steps:
            raise ConfigError("steps must be one positive number or more, not none")
