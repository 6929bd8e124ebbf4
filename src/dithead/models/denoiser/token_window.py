"""Finds the tokens under the mask, and the rectangle of latent cells around them that is encoded and decoded.

Pixels far from the mask are known: they need no denoising, and neither encoding nor decoding.
Letters: B batch, C latent channels, G latent side, S image side, N tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dithead.models.autoencoder.face import FACTOR


@dataclass(frozen=True)
class Window:
    """The latent rows ``top`` to ``bottom`` - 1 and columns ``left`` to ``right`` - 1 of ``grid`` by ``grid`` cells."""

    top: int
    bottom: int
    left: int
    right: int
    grid: int

    def pixels(self, image: Tensor) -> Tensor:
        """Cut out the part of an image (B, channels, S, S) that belongs to these cells."""
        return image[..., self.top * FACTOR : self.bottom * FACTOR, self.left * FACTOR : self.right * FACTOR]

    def cells(self, latent: Tensor) -> Tensor:
        """Cut these cells out of a latent (B, C, G, G)."""
        return latent[..., self.top : self.bottom, self.left : self.right]

    def place(self, cells: Tensor) -> Tensor:
        """Put ``cells`` back into the whole latent (B, C, G, G), which is zero elsewhere."""
        return F.pad(cells, (self.left, self.grid - self.right, self.top, self.grid - self.bottom))

    def place_pixels(self, patch: Tensor, image: Tensor) -> Tensor:
        """Return a copy of ``image`` (B, 3, S, S) whose pixels in the window are those of ``patch``."""
        out = image.clone()
        self.pixels(out).copy_(patch)
        return out


def window_of(mask_z: Tensor, ring: int = 1) -> Window:
    """Find the cells that ``mask_z`` (B, 1, G, G) touches in any sample, and ``ring`` cells around; all for none."""
    touched = (mask_z > 0).flatten(0, 1).any(0)
    grid = touched.shape[-1]
    if not touched.any():
        return Window(0, grid, 0, grid, grid)
    rows, columns = touched.any(1).nonzero(), touched.any(0).nonzero()
    low = (max(int(axis.min()) - ring, 0) for axis in (rows, columns))
    high = (min(int(axis.max()) + 1 + ring, grid) for axis in (rows, columns))
    (top, left), (bottom, right) = low, high
    return Window(top, bottom, left, right, grid)


def tokens_per_sample(mask_z: Tensor) -> Tensor:
    """List the positions (B, N) under each sample's own mask (B, 1, G, G); N is that of the largest mask.

    Smaller masks are filled up with positions outside, which do no harm.
    """
    touched = (mask_z > 0).flatten(1)  # (B, G*G)
    order = torch.argsort(touched.to(torch.int8), dim=1, descending=True, stable=True)
    return order[:, : int(touched.sum(1).max())]


def tokens_under_mask(mask_z: Tensor, ring: int = 0) -> Tensor:
    """List the positions (N,) that ``mask_z`` (B, 1, G, G) touches in any sample, with ``ring`` cells around them."""
    touched = (mask_z > 0).any(0, keepdim=True).float()
    grown = F.max_pool2d(touched, 2 * ring + 1, stride=1, padding=ring)
    return grown.flatten().nonzero().squeeze(1)
