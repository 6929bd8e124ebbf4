"""Do the runs of the ablations speak, as a sync expert that nothing is trained against judges them?

It makes the figures of the sync expert in docs/results/ablations.md.

    python experiments/ablation_sync.py out/ablations PREPARED_DATASET base-0 sync-loss-0

The first argument is the output folder of recipes/ablations.sh, the second the dataset that its runs were trained on,
the others are finished runs with the mask of the run `base`. The first 40 frames of clips of people held out are drawn
to their own speech, with reference frames from the rest of the clip, decoded, and judged. Columns: the mean cosine of
mouth and speech embeddings at offset 0, the expert's mean confidence at its best offset, and the number of clips whose
best offset is at most one frame. Letters: K frames, S crop side, C latent channels, G latent side.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dithead.checkpoint import load_model
from dithead.config import get_preset
from dithead.critics.sync_expert import find_offset
from dithead.critics.sync_offset import crop_mouths, load_shipped_expert, mouth_centre, mouths_to_tensor, speech_mel
from dithead.face.masks import polygon_mask
from dithead.models.talking_head import TalkingHead
from dithead.prepare.conditions import frame_conditions, to_pixels, to_tensor
from dithead.train.data.clips import DataSource, WeightedClip, choose_held_out_clips
from dithead.train.data.latent_cache import LatentEncoder, cache_clips
from dithead.train.data.latent_dataset import LatentDataset
from dithead.train.data.lip_basis import LipBasis
from dithead.train.data.picture_augmentation import no_augmentation
from dithead.train.metrics import held_out_latents as held_out
from dithead.train.stages.assemble_model import cache_key
from shared import make_parser, print_table

FRAMES, CLIPS = 40, 12
REACH = 10  # frames searched to either side for the best offset

Pictures = NDArray[np.uint8]  # (K, S, S, 3)


def model_frames(item: WeightedClip, side: int) -> Pictures:
    """Return the first frames of a clip at the model's resolution (K, S, S, 3)."""
    crops = item.clip.frames()[:FRAMES]
    resize = no_augmentation(crops.shape[1], side)
    return np.stack([resize.apply(crop) for crop in crops])


def decode(talker: TalkingHead, item: WeightedClip, latents: Tensor) -> Pictures:
    """Decode latents (K, C, G, G) to pictures (K, S, S, 3), with the clip's last frame as the decoder's reference."""
    track, truth = item.clip.track(), model_frames(item, talker.size)
    ratio = talker.size / item.clip.frames().shape[1]
    masked, mask = frame_conditions(truth, polygon_mask(track.polygon * ratio, talker.size))
    last = no_augmentation(item.clip.frames().shape[1], talker.size).apply(item.clip.frames()[-1])
    reference = to_tensor(last[None]).expand(len(latents), -1, -1, -1)
    return to_pixels(talker.autoencoder.decode(latents, masked, mask, reference))


def judge(name: str, items: Sequence[WeightedClip], pictures: Sequence[Pictures]) -> list[str]:
    """Return one line of the table: what the expert finds in the pictures of each clip with the clip's own sound."""
    expert, cosines, offsets = load_shipped_expert("score"), [], []
    for item, crops in zip(items, pictures, strict=True):
        x, y = (c * crops.shape[1] / item.clip.frames().shape[1] for c in mouth_centre(item.clip.track().landmarks))
        mouths = expert.embed_mouths(mouths_to_tensor(crop_mouths(crops, (x, y), expert.config.side)[None]))[0]
        speech = expert.embed_speech(speech_mel(item.clip.audio(), item.clip.length)[None])[0][: len(crops)]
        cosines.append(float((mouths * speech).sum(-1).mean()))
        offsets.append(find_offset(mouths, speech, reach=REACH))
    right, confidence = sum(abs(o.frames) <= 1 for o in offsets), np.mean([o.confidence for o in offsets])
    return [name, f"{np.mean(cosines):.3f}", f"{confidence:.3f}", f"{right} of {len(offsets)}"]


@torch.inference_mode()
def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("ablations", type=Path, help="output folder of recipes/ablations.sh")
    parser.add_argument("dataset", type=Path, help="the prepared dataset its runs were trained on")
    parser.add_argument("runs", nargs="+", help="names of finished runs in it, such as base-0")
    options = parser.parse_args()
    basis, settings = LipBasis.load(options.ablations / "audio" / "lips.npz"), get_preset("tiny").dit
    items, lines = choose_held_out_clips([DataSource(options.dataset)], 18)[:CLIPS], []
    for number, run in enumerate(options.runs):
        talker = load_model(options.ablations / run / "model")
        cache = options.ablations / "latents" / cache_key(talker, 0) / "held_out"
        cached = cache_clips(cache, items, [1] * CLIPS, LatentEncoder(talker, 0))
        dataset = LatentDataset(cached, basis, settings, talker.audio, talker.config.dit.references)
        clips = held_out.held_out_clips(dataset, CLIPS, FRAMES)
        if number == 0:
            lines.append(judge("truth", items, [model_frames(item, talker.size) for item in items]))
            rebuilt = [decode(talker, item, clip.latent) for item, clip in zip(items, clips, strict=True)]
            lines.append(judge("truth, encoded and decoded", items, rebuilt))
            copies = [
                decode(talker, i, held_out.paste_references(talker, c)) for i, c in zip(items, clips, strict=True)
            ]
            lines.append(judge("nearest references, copied", items, copies))
        drawn = [held_out.sample(talker, clip) for clip in clips]
        pictures = [decode(talker, item, latents) for item, latents in zip(items, drawn, strict=True)]
        lines.append(judge(run, items, pictures))
    print_table(["run", "cosine at offset 0", "confidence", "offset within one frame"], lines)


if __name__ == "__main__":
    main()
