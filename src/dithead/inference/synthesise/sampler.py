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
from dithead.inference.analyse.references import ReferenceBank, ReferenceSet
from dithead.inference.synthesise.lip_calibration import told, training_calibration
from dithead.media.files import save_arrays
from dithead.models.denoiser.chunks import CONTEXT, stride
from dithead.prepare.conditions import frame_conditions, to_pixels, to_tensor

if TYPE_CHECKING:
    from dithead.inference.analyse.tracklet import Tracklet
    from dithead.inference.synthesise.audio_features import SpeechFeatures
    from dithead.models.talking_head import TalkingHead

ReferenceMode = Literal["static", "previous"]


_REMEMBERED = 256  # moments
_WIDEST = 1.1  # times the widest mouth that was kept: beyond, there is nothing to draw from
_ALONE = 2.4  # times as widely where the references cannot move along: a transformer hardly leaves them
_FARTHEST = 1.6  # times as widely as heard lips are told to move at most: the transformer has not learned more
_STRANGE = 3.0  # how far from the mean lips are told to be at most: beyond, it draws another person


class _Before(NamedTuple):
    """The last frames of a chunk: crops (K, S, S, 3), times (K,), mask polygons (K, P, 2), latents (K, C, G, G)."""

    crops: NDArray[np.uint8]
    times: NDArray[np.float64]
    polygons: NDArray[np.float32]
    latents: NDArray[np.float32]

    def and_then(self, new: _Before) -> _Before:
        """These frames and new ones, whose latents are not known yet."""
        return _Before(
            np.concatenate([self.crops, new.crops]),
            np.concatenate([self.times, new.times]),
            np.concatenate([self.polygons, new.polygons]),
            self.latents,
        )

    def last(self, count: int) -> _Before:
        return _Before(self.crops[-count:], self.times[-count:], self.polygons[-count:], self.latents[-count:])


class _Heard(NamedTuple):
    """Speech at some moments: tokens (B, L, A), what the lips do (B, K), how open to be (B,); None where not known."""

    tokens: Tensor
    lips: Tensor | None
    openings: NDArray[np.float32] | None


def within(offsets: Tensor, limit: float) -> Tensor:
    """Offsets (B, K) that are short stay as they are; however long, none becomes longer than ``limit``."""
    length = offsets.norm(dim=1, keepdim=True).clamp_min(1e-6)
    return offsets * (limit * torch.tanh(length / limit) / length)


class MouthSampler:
    """Draws mouths with one model.

    features: of the speech of each face by number; that of all others under None.
    reference: ``static`` shows the model that picture of the run whose mouth is about as open as it should be, so
    frames are drawn in batches; ``previous`` shows it the frame it drew last, as in the paper, one by one. One noise
    serves the whole clip, so the result does not depend on the batch size.
    """

    def __init__(
        self,
        talker: TalkingHead,
        features: Mapping[int | None, Tensor | SpeechFeatures],
        *,
        seed: int,
        steps: int | None,
        reference: ReferenceMode,
    ) -> None:
        self.talker, self.features, self.steps, self.reference = talker, features, steps, reference
        self.noise = talker.initial_noise(seed)
        self._latents: dict[tuple[int, int], Tensor] = {}  # last one drawn of each (face, first frame of its run)
        self._before: dict[tuple[int, int], _Before] = {}  # what the next chunk of each run is shown
        self.reference_bank, self._learned = ReferenceBank(), training_calibration(talker)
        self._meant: dict[tuple[int, float], float] = {}  # how open the mouth of each face is meant to be, and when
        self._shown: dict[tuple[int, int], tuple[Tensor, Tensor | None]] = {}  # references of each (face, first frame)

    def begin(self) -> None:
        """A new part of the work: what one frame hands to the next is kept by run, so nothing is forgotten."""

    def room(self, batch: int, *, first: bool) -> int:
        """How many frames ``draw`` should get at once, ``first`` in a run or later: whole chunks."""
        del first
        step = stride(self.talker.config.dit.temporal)
        return max(step, batch - batch % step)

    def draw(
        self,
        tracklet: Tracklet,
        crops: NDArray[np.uint8],
        times: NDArray[np.float64],
        frames: Sequence[int] | None = None,
    ) -> NDArray[np.uint8]:
        """(B, S, S, 3) mouths for crops (B, S, S, 3) of ``run`` heard at ``times`` (B,) seconds.

        frames: their numbers, for a mask that follows the face; without them the mask is ``run.polygon``.
        In ``previous`` mode the calls must follow one another in time.
        """
        follows = frames is not None and tracklet.outlines is not None
        masks = [tracklet.mask_polygon(i) for i in frames] if follows and frames else [tracklet.polygon]
        if self.reference == "static" and self.talker.config.dit.temporal:
            return self._drawn_together(tracklet, crops, times, masks * (1 if follows else len(crops)))
        if self.reference == "static" and not follows:
            return self._sample(tracklet, crops, times, masks[0])[0]
        drawn = []
        for i in range(len(crops)):
            one, mask = slice(i, i + 1), masks[i % len(masks)]
            drawn.append(self._drawn_after_last(tracklet, crops[one], times[one], mask))
        return np.concatenate(drawn)

    def target_openings(self, tracklet: Tracklet, times: NDArray[np.float64]) -> list[float] | None:
        """How open (B,) the mouth of ``run`` is meant to be at ``times`` (B,); None for a model that does not say."""
        known = {t: self._meant[tracklet.face, t] for t in times.tolist() if (tracklet.face, t) in self._meant}
        if new := [t for t in times.tolist() if t not in known]:
            with torch.inference_mode():
                openings = self._listen(tracklet, np.array(new)).openings
            if openings is None:
                return None
            known |= dict(zip(new, openings.tolist(), strict=True))
        return [known[t] for t in times.tolist()]

    def _listen(self, tracklet: Tracklet, times: NDArray[np.float64]) -> _Heard:
        """What is heard at ``times`` (B,)."""
        tokens, lips = told(self.talker, self.features.get(tracklet.face, self.features[None]), times)
        if lips is None:
            return _Heard(tokens, None, None)
        mean_opening, unit = self._learned, self.talker.config.opening_unit
        calibration = tracklet.calibration or mean_opening
        warp_by_flow, wide = lips - torch.from_numpy(calibration.told), calibration.expression(tracklet.opening, unit)
        effort = _ALONE if tracklet.mouths is not None and tracklet.mouths.still else 1.0
        told_apart = warp_by_flow * (min(wide, _FARTHEST) * effort)
        lips = torch.from_numpy(mean_opening.told) + (told_apart if effort > 1 else within(told_apart, _STRANGE))
        if not unit or tracklet.mouths is None:
            return _Heard(tokens, lips, None)
        widest = _WIDEST * float(tracklet.mouths.openings[-1])
        openings = np.clip(
            tracklet.mouths.mean_opening + warp_by_flow[:, -1].numpy() * np.float32(wide * unit), 0, widest
        )
        new = {(tracklet.face, t): float(o) for t, o in zip(times.tolist(), openings, strict=True)}
        self._meant = dict([*self._meant.items(), *new.items()][-_REMEMBERED:])
        return _Heard(tokens, lips, openings)

    def save_state(self, path: Path) -> None:
        """Write what the next frame depends on, for ``load_state`` after a crash."""
        names = {f"{face}_{start}": z.float().cpu().numpy() for (face, start), z in self._latents.items()}
        for (face, start), before in self._before.items():
            names |= {f"{face}_{start}_{field}": part for field, part in before._asdict().items()}
        names |= {f"{face}_{start}_lender": np.array(k) for (face, start), k in self.reference_bank.lenders.items()}
        save_arrays(path, **names)

    def load_state(self, path: Path) -> None:
        """Go on where ``save_state`` was called."""
        with np.load(path, allow_pickle=False) as data:
            stored = {tuple(name.split("_")): data[name] for name in data.files}
        keys = {(int(face), int(start)) for face, start, *_ in stored}
        one, many = ({k: v for k, v in stored.items() if len(k) == length} for length in (2, 3))
        self._latents = {(int(f), int(s)): torch.from_numpy(z).to(self.talker.device) for (f, s), z in one.items()}
        self.reference_bank.lenders = {
            (int(f), int(s)): int(k) for (f, s, field), k in many.items() if field == "lender"
        }
        self._before = {
            (f, s): _Before(*(many[str(f), str(s), field] for field in _Before._fields))
            for f, s in keys if (str(f), str(s), "times") in many
        }  # fmt: skip

    def _drawn_together(
        self,
        tracklet: Tracklet,
        crops: NDArray[np.uint8],
        times: NDArray[np.float64],
        masks: Sequence[NDArray[np.float32]],
    ) -> NDArray[np.uint8]:
        """(B, S, S, 3), a chunk after the other, each shown the last frames of the one before."""
        key, step = (tracklet.face, tracklet.start), stride(self.talker.config.dit.temporal)
        drawn = []
        for first in range(0, len(crops), step):
            part, before = slice(first, first + step), self._before.get(key)
            new = _Before(crops[part], times[part], np.stack(masks[part]), np.zeros(0, np.float32))
            shown = new if before is None else before.and_then(new)
            known = None if before is None else torch.from_numpy(before.latents)
            images, latents = self._sample(
                tracklet, shown.crops, shown.times, shown.polygons, known=known, together=len(shown.times)
            )
            made = latents.float().cpu() if known is None else torch.cat([known, latents.float().cpu()])
            last = shown._replace(latents=made.numpy()).last(CONTEXT)
            self._before = {k: v for k, v in self._before.items() if k[0] != tracklet.face} | {key: last}
            drawn.append(images)
        return np.concatenate(drawn)

    def _drawn_after_last(
        self, tracklet: Tracklet, crop: NDArray[np.uint8], time: NDArray[np.float64], polygon: NDArray[np.float32]
    ) -> NDArray[np.uint8]:
        """One frame (1, S, S, 3), which in ``previous`` mode sees the last one of its run."""
        key = (tracklet.face, tracklet.start)
        image, latent = self._sample(tracklet, crop, time, polygon, self._latents.get(key))
        if self.reference == "previous":
            self._latents = {k: v for k, v in self._latents.items() if k[0] != tracklet.face} | {key: latent}
        return np.asarray(image, np.uint8)

    def _sample(
        self,
        tracklet: Tracklet,
        crops: NDArray[np.uint8],
        times: NDArray[np.float64],
        polygon: NDArray[np.float32],
        latent: Tensor | None = None,
        known: Tensor | None = None,
        together: int = 1,
    ) -> tuple[NDArray[np.uint8], Tensor]:
        """``polygon`` (K, 2) of all frames, or (B, K, 2) of each; the first ones' latents may be ``known``."""
        polygons = polygon if polygon.ndim == 3 else polygon[None]
        masks = np.stack([polygon_mask(each, self.talker.size) for each in polygons])
        masked, mask = frame_conditions(crops, masks)
        with torch.inference_mode():
            heard = self._listen(tracklet, times)
            reference_set = None if self.reference == "previous" else self.reference_bank.of(tracklet)
            if reference_set is None or heard.openings is None:
                reference = to_tensor(tracklet.reference[None])
            else:
                reference, latent = self._references(tracklet, reference_set, heard.openings, mask)
            images, latents = self.talker.generate(
                masked, mask, reference, heard.tokens, self.noise, self.steps, previous_latent=latent,
                lips=heard.lips, frames=together, known=known,
            )  # fmt: skip
        return to_pixels(images), latents

    def _references(
        self, tracklet: Tracklet, reference_set: ReferenceSet, openings: NDArray[np.float32], mask: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """References (B, 3, S, S) about as open as ``openings`` (B,), and their latents (B, C, G, G).

        Under a mask that follows the face latents are left to the model: they are others in every frame.
        """
        key = (tracklet.face, tracklet.start)
        if key not in self._shown:
            pictures = to_tensor(reference_set.crops)
            latents = self.talker.reference_latents(pictures, mask[:1]) if tracklet.outlines is None else None
            self._shown = {k: v for k, v in self._shown.items() if k[0] != tracklet.face} | {key: (pictures, latents)}
        pictures, latents = self._shown[key]
        index = torch.from_numpy(reference_set.nearest(openings))
        return pictures[index], None if latents is None else latents[index.to(latents.device)]
