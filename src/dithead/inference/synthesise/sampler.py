"""Sampling: crops of one run in, the same crops with new mouths out. Shapes: B batch, S crop side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dithead.face.masks import polygon_mask
from dithead.inference.analyse.references import Gallery, Graded
from dithead.inference.synthesise.lip_calibration import learned, told
from dithead.media.files import save_arrays
from dithead.models.talking_head import Conditions
from dithead.prepare.conditions import frame_conditions, to_pixels, to_tensor

if TYPE_CHECKING:
    from dithead.inference.analyse.tracklet import Run
    from dithead.inference.synthesise.audio_features import Hearing
    from dithead.models.talking_head import TalkingHead

ReferenceMode = Literal["static", "previous"]


_REMEMBERED = 256  # moments
_WIDEST = 1.1  # times the widest mouth that was kept: beyond, there is nothing to draw from
_ALONE = 2.4  # times as widely where the references cannot move along: a transformer hardly leaves them
_FARTHEST = 1.6  # times as widely as heard lips are told to move at most: the transformer has not learned more
_STRANGE = 3.0  # how far from the mean lips are told to be at most: beyond, it draws another person


class _Heard(NamedTuple):
    """Speech at some moments: tokens (B, L, A), what the lips do (B, K), how open to be (B,); None where not known."""

    tokens: Tensor
    lips: Tensor | None
    openings: NDArray[np.float32] | None


def within(offsets: Tensor, limit: float) -> Tensor:
    """Offsets (B, K) that are short stay as they are; however long, none becomes longer than ``limit``."""
    length = offsets.norm(dim=1, keepdim=True).clamp_min(1e-6)
    return offsets * (limit * torch.tanh(length / limit) / length)


class MouthMaker:
    """Draws mouths with one model.

    features: of the speech of each face by number; that of all others under None.
    reference: ``static`` shows the model that picture of the run whose mouth is about as open as it should be, so
    frames are drawn in batches; ``previous`` shows it the frame it drew last, as in the paper, one by one. One noise
    serves the whole clip, so the result does not depend on the batch size.
    """

    def __init__(
        self,
        talker: TalkingHead,
        features: Mapping[int | None, Tensor | Hearing],
        *,
        seed: int,
        steps: int | None,
        reference: ReferenceMode,
    ) -> None:
        self.talker, self.features, self.steps, self.reference = talker, features, steps, reference
        self.noise = talker.initial_noise(seed)
        self._latents: dict[tuple[int, int], Tensor] = {}  # last one drawn of each (face, first frame of its run)
        self.gallery, self._learned = Gallery(), learned(talker)
        self._meant: dict[tuple[int, float], float] = {}  # how open the mouth of each face is meant to be, and when
        self._shown: dict[tuple[int, int], tuple[Tensor, Tensor | None]] = {}  # references of each (face, first frame)

    def begin(self) -> None:
        """A new part of the work: what one frame hands to the next is kept by run, so nothing is forgotten."""

    def room(self, batch: int, *, first: bool) -> int:
        """How many frames ``draw`` should get at once, ``first`` in a run or later."""
        del first
        return max(1, batch)

    def draw(
        self, run: Run, crops: NDArray[np.uint8], times: NDArray[np.float64], frames: Sequence[int] | None = None
    ) -> NDArray[np.uint8]:
        """(B, S, S, 3) mouths for crops (B, S, S, 3) of ``run`` heard at ``times`` (B,) seconds.

        frames: their numbers, for a mask that follows the face; without them the mask is ``run.polygon``.
        In ``previous`` mode the calls must follow one another in time.
        """
        follows = frames is not None and run.outlines is not None
        masks = [run.mask_polygon(i) for i in frames] if follows and frames else [run.polygon]
        if self.reference == "static" and not follows:
            return self._sample(run, crops, times, masks[0])[0]
        drawn = []
        for i in range(len(crops)):
            one, mask = slice(i, i + 1), masks[i % len(masks)]
            drawn.append(self._drawn_after_last(run, crops[one], times[one], mask))
        return np.concatenate(drawn)

    def meant(self, run: Run, times: NDArray[np.float64]) -> list[float] | None:
        """How open (B,) the mouth of ``run`` is meant to be at ``times`` (B,); None for a model that does not say."""
        known = {t: self._meant[run.face, t] for t in times.tolist() if (run.face, t) in self._meant}
        if new := [t for t in times.tolist() if t not in known]:
            with torch.inference_mode():
                openings = self._listen(run, np.array(new)).openings
            if openings is None:
                return None
            known |= dict(zip(new, openings.tolist(), strict=True))
        return [known[t] for t in times.tolist()]

    def _listen(self, run: Run, times: NDArray[np.float64]) -> _Heard:
        """What is heard at ``times`` (B,)."""
        tokens, lips = told(self.talker, self.features.get(run.face, self.features[None]), times)
        if lips is None:
            return _Heard(tokens, None, None)
        usual, unit = self._learned, self.talker.config.opening_unit
        habit = run.habit or usual
        moved, wide = lips - torch.from_numpy(habit.told), habit.expression(run.opening, unit)
        effort = _ALONE if run.mouths is not None and run.mouths.still else 1.0
        told_apart = moved * (min(wide, _FARTHEST) * effort)
        lips = torch.from_numpy(usual.told) + (told_apart if effort > 1 else within(told_apart, _STRANGE))
        if not unit or run.mouths is None:
            return _Heard(tokens, lips, None)
        widest = _WIDEST * float(run.mouths.openings[-1])
        openings = np.clip(run.mouths.usual + moved[:, -1].numpy() * np.float32(wide * unit), 0, widest)
        new = {(run.face, t): float(o) for t, o in zip(times.tolist(), openings, strict=True)}
        self._meant = dict([*self._meant.items(), *new.items()][-_REMEMBERED:])
        return _Heard(tokens, lips, openings)

    def save_state(self, path: Path) -> None:
        """Write what the next frame depends on, for ``load_state`` after a crash."""
        names = {f"{face}_{start}": z.float().cpu().numpy() for (face, start), z in self._latents.items()}
        names |= {f"{face}_{start}_lender": np.array(k) for (face, start), k in self.gallery.lenders.items()}
        save_arrays(path, **names)

    def load_state(self, path: Path) -> None:
        """Go on where ``save_state`` was called."""
        with np.load(path, allow_pickle=False) as data:
            stored = {tuple(name.split("_")): data[name] for name in data.files}
        one, many = ({k: v for k, v in stored.items() if len(k) == length} for length in (2, 3))
        self._latents = {(int(f), int(s)): torch.from_numpy(z).to(self.talker.device) for (f, s), z in one.items()}
        self.gallery.lenders = {(int(f), int(s)): int(k) for (f, s, _), k in many.items()}

    def _drawn_after_last(
        self, run: Run, crop: NDArray[np.uint8], time: NDArray[np.float64], polygon: NDArray[np.float32]
    ) -> NDArray[np.uint8]:
        """One frame (1, S, S, 3), which in ``previous`` mode sees the last one of its run."""
        key = (run.face, run.start)
        image, latent = self._sample(run, crop, time, polygon, self._latents.get(key))
        if self.reference == "previous":
            self._latents = {k: v for k, v in self._latents.items() if k[0] != run.face} | {key: latent}
        return np.asarray(image, np.uint8)

    def _sample(
        self,
        run: Run,
        crops: NDArray[np.uint8],
        times: NDArray[np.float64],
        polygon: NDArray[np.float32],
        latent: Tensor | None = None,
    ) -> tuple[NDArray[np.uint8], Tensor]:
        """Frames and latents under the mask ``polygon`` (K, 2)."""
        masked, mask = frame_conditions(crops, polygon_mask(polygon, self.talker.size))
        with torch.inference_mode():
            heard = self._listen(run, times)
            graded = None if self.reference == "previous" else self.gallery.of(run)
            if graded is None or heard.openings is None:
                reference = to_tensor(run.reference[None])
            else:
                reference, latent = self._references(run, graded, heard.openings, mask)
            conditions = Conditions(masked, mask, reference, heard.tokens, heard.lips, latent)
            images, latents = self.talker.generate(conditions, self.noise, steps=self.steps)
        return to_pixels(images), latents

    def _references(
        self, run: Run, graded: Graded, openings: NDArray[np.float32], mask: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """References (B, 3, S, S) about as open as ``openings`` (B,), and their latents (B, C, G, G).

        Under a mask that follows the face latents are left to the model: they are others in every frame.
        """
        key = (run.face, run.start)
        if key not in self._shown:
            pictures = to_tensor(graded.crops)
            latents = self.talker.reference_latents(pictures, mask[:1]) if run.outlines is None else None
            self._shown = {k: v for k, v in self._shown.items() if k[0] != run.face} | {key: (pictures, latents)}
        pictures, latents = self._shown[key]
        index = torch.from_numpy(graded.nearest(openings))
        return pictures[index], None if latents is None else latents[index.to(latents.device)]
