"""Stage two measured on people held out: which references it is shown, and what copying them would give."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from dithead.models.denoiser.base import LatentConditions
from dithead.train.data.latent_cache import ClipLatents
from dithead.train.metrics.held_out_latents import HeldOutClip, copied, held_out_clips, sample

FRAMES, DRAWN = 20, 16


def clip(references: int = 1, frames: int = FRAMES) -> HeldOutClip:
    """Frame k is full of k, and its lips are k / 10 open; the lower half is masked."""
    rows = np.arange(frames, dtype=np.float16)
    latents = np.zeros((frames, 2, 4, 4), np.float16) + rows[:, None, None, None]
    half = np.zeros((1, 4, 4), np.float16)
    half[:, 2:] = 1
    lips = np.zeros((frames, 81), np.float16)
    lips[:, -1] = rows / 10
    one = ClipLatents(latents, latents * (1 - half), half, np.stack([half] * frames), lips,
                      np.zeros((99, 80), np.float16), np.asarray(0))  # fmt: skip
    bank: Any = SimpleNamespace(clips=[one], references=references, names_of=["a"], mel=lambda *_: np.zeros((8, 80)))
    return held_out_clips(bank)[0]


def head(moved: list[float] | None, references: int = 1) -> Any:
    """Its mouth is the reference; it hears that lips move by ``moved`` from the usual."""
    config = SimpleNamespace(dit=SimpleNamespace(references=references), steps=1)

    def denoised(z: torch.Tensor, t: Any, conditions: LatentConditions) -> torch.Tensor:
        return conditions.reference[:, : z.shape[1]]

    return SimpleNamespace(
        config=config, device=torch.device("cpu"), audio=lambda mel: mel, dit=denoised,
        predict_lips=lambda tokens: None,
        predict_opening=lambda tokens: None if moved is None else torch.tensor(moved[: len(tokens)]),
        initial_noise=lambda seed: torch.zeros(1, 2, 4, 4),
        objective=SimpleNamespace(sample=lambda predict, noise, steps: predict(noise, torch.zeros(len(noise)))),
    )  # fmt: skip


def test_frames_are_shown_mouths_as_open_as_is_heard_and_never_themselves() -> None:
    usual = (FRAMES - 1) / 20
    heard = [k / 10 - usual for k in [*range(DRAWN - 3), 17, 18, 25]]
    one = clip()
    made = sample(head(heard), one, one.mel)
    assert made[:, 0, 3, 0].tolist() == [16.0] * (DRAWN - 3) + [17.0, 18.0, 19.0]
    torch.testing.assert_close(made[:, :, :2], one.latent[:, :, :2])
    torch.testing.assert_close(copied(head(heard), one), made)


def test_one_reference_serves_all_frames_where_wanted_or_nothing_is_heard() -> None:
    one = clip()
    last = float(one.reference[0, 0, 0, 0])
    for made in (sample(head([0.0] * DRAWN), one, one.mel, "fixed"), sample(head(None), one, one.mel)):
        assert set(made[:, 0, 3, 0].tolist()) == {last}


def test_several_references_are_the_nearest_ones_and_short_clips_lend_their_own_frames() -> None:
    shown: list[torch.Tensor] = []
    three = head([10.0] * DRAWN, references=3)

    def watched(z: torch.Tensor, t: Any, conditions: LatentConditions) -> torch.Tensor:
        shown.append(conditions.reference)
        return z

    three.dit = watched
    sample(three, clip(references=3), clip().mel)
    assert shown[0][0, ::2, 0, 0].tolist() == [19.0, 18.0, 17.0]
    sample(three, clip(references=3), clip().mel, "nearest")
    assert shown[1][0, ::2, 0, 0].tolist() == [19.0]
    assert len(clip(references=3, frames=18).others) == 18


def test_a_model_without_references_is_shown_none_and_what_copying_gives_is_still_told() -> None:
    none, one, shown = head([10.0] * DRAWN, references=0), clip(references=0), []

    def watched(z: torch.Tensor, t: Any, conditions: LatentConditions) -> torch.Tensor:
        shown.append(conditions.reference.shape[1])
        return z

    none.dit = watched
    sample(none, one, one.mel)
    assert shown == [0]
    assert copied(none, one)[0, 0, 3, 0] == 19
