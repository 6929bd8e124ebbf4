"""The diffusion transformer with fewer and larger calls, for drawing: a single live frame waits mostly for calls.

What all blocks compute from the same input is one matrix product: the keys and values of the speech, and the first
factor of the modulation. Queries, keys and values of a block are one, too. The vector of a time is computed once, and
all the rest is recorded (``models.recorded``).
Letters: B batch, N tokens, D width, L audio tokens, A audio width.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dithead.models.denoiser.dit import DiT, DiTBlock
from dithead.models.packed import PackedLinear, packed
from dithead.models.recorded import record


def packed_denoiser(denoiser: nn.Module, dtype: torch.dtype, *, pack: bool) -> nn.Module:
    """Do as ``packed`` with a denoiser, which becomes a ``PackedDiT`` where it can."""
    return PackedDiT(denoiser, dtype) if pack and isinstance(denoiser, DiT) else packed(denoiser, dtype, pack=pack)


class PackedDiT(DiT):
    """A ``DiT`` that gives a frame the same bits whatever else is in its batch."""

    def __init__(self, dit: DiT, dtype: torch.dtype) -> None:
        """Pack the layers of ``dit`` in type ``dtype``; its buffers are shared."""
        nn.Module.__init__(self)
        self.config = dit.config
        self._buffers = dict(dit._buffers)
        blocks = cast(list[DiTBlock], list(dit.blocks))
        others = {name: layer for name, layer in dit.named_children() if name != "blocks"}
        self._modules = {name: packed(layer, dtype, pack=True) for name, layer in others.items()}
        self.blocks = nn.ModuleList(_PackedBlock(block, dtype) for block in blocks)
        self.modulations = _Modulations([block.modulation for block in blocks], dtype)
        crosses = [block.cross.key_value for block in blocks if block.cross is not None]
        self.key_values = _joined(crosses, dtype) if crosses else None
        self._times: dict[float, Tensor] = {}
        self._record(dtype)

    @torch.no_grad()
    def _record(self, dtype: torch.dtype) -> None:
        """Record ``predict``, which takes batches of any size and any list of positions for all."""
        c, index = self.config, torch.arange(1)
        channels = torch.zeros(2, c.inputs, c.grid, c.grid, dtype=dtype)
        audio = torch.zeros(2, 8, c.audio_width, dtype=dtype)
        time = self.time_vector(torch.ones(1), dtype)
        record(self, predict=(channels, time, audio, self.lips_or_rest(None, audio), index))

    def time_vector(self, t: Tensor, dtype: torch.dtype) -> Tensor:
        """See ``Denoiser.time_vector``."""
        if len(t) > 1 and t.stride(0):  # they may differ
            return super().time_vector(t, dtype)
        if (key := float(t[0])) not in self._times:
            self._times[key] = super().time_vector(t[:1], dtype)
        return self._times[key]

    def transform(self, x: Tensor, condition: Tensor, audio: Tensor) -> Tensor:
        """See ``DiT.transform``."""
        modulations, known = self.modulations(F.silu(condition)), [None] * len(self.blocks)
        if self.key_values is not None:
            split = self.key_values(audio).unflatten(2, (len(self.blocks), 2, self.config.heads, -1))
            known = split.permute(2, 3, 0, 4, 1, 5).unbind()  # (2, B, heads, L, D / heads) each
        for block, modulation, key_value in zip(self.blocks, modulations, known, strict=True):
            x = block(x, modulation, key_value)
        return x


class _PackedBlock(nn.Module):
    """A ``DiTBlock`` that gets its modulation, and keys and values of the speech."""

    def __init__(self, block: DiTBlock, dtype: torch.dtype) -> None:
        super().__init__()
        self.heads, self.eps, own = block.attention.heads, block.norm.eps, block.attention
        self.query_key_value, self.out = _joined([own.query, own.key_value], dtype), PackedLinear(own.out, dtype)
        self.cross = None if block.cross is None else packed(block.cross, dtype, pack=True)
        self.mlp = packed(block.mlp, dtype, pack=True)

    def forward(self, x: Tensor, modulation: Tensor, key_value: Tensor | None) -> Tensor:
        """Transform tokens ``x`` (B, N, D).

        Args:
            x: The tokens.
            modulation: Shift, scale and gate of each part (B, 9, D), or (B, 6, D) without cross-attention.
            key_value: Of the speech (2, B, heads, L, D / heads).
        """
        shift, scale, gate, *others = modulation.unsqueeze(2).unbind(1)  # (B, 1, D) each
        split = self.query_key_value(self._modulated(x, shift, scale)).unflatten(2, (3, self.heads, -1))
        x = torch.addcmul(x, gate, self.out(_attended(*split.permute(2, 0, 3, 1, 4))))
        if self.cross is not None and key_value is not None:
            shift, scale, gate, *others = others
            query = self.cross.query(self._modulated(x, shift, scale)).unflatten(2, (self.heads, -1)).transpose(1, 2)
            x = torch.addcmul(x, gate, self.cross.out(_attended(query, *key_value)))
        shift, scale, gate = others
        return torch.addcmul(x, gate, self.mlp(self._modulated(x, shift, scale)))

    def _modulated(self, x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        return torch.addcmul(shift, F.layer_norm(x, x.shape[-1:], eps=self.eps), 1 + scale)


class _Modulations(nn.Module):
    """The modulations of all blocks; their first factors, or the whole maps where there are none, are one product."""

    def __init__(self, maps: Sequence[nn.Module], dtype: torch.dtype) -> None:
        super().__init__()
        self.count, factors = len(maps), [each for each in maps if isinstance(each, nn.Sequential)]
        self.first = _joined([each[0] for each in factors] or maps, dtype)
        self.last = nn.ModuleList(PackedLinear(cast(nn.Linear, each[1]), dtype) for each in factors)

    def forward(self, condition: Tensor) -> list[Tensor]:
        """Turn the condition (B, D) into shift, scale and gate of each part of each block, (B, 9 or 6, D)."""
        parts: Iterable[Tensor] = self.first(condition).chunk(self.count, -1)
        if self.last:
            parts = (layer(part.contiguous()) for layer, part in zip(self.last, parts, strict=True))
        return [part.unflatten(1, (-1, condition.shape[-1])) for part in parts]


def _attended(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention of queries (B, heads, N, D / heads): (B, N, D)."""
    return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)


def _joined(layers: Sequence[nn.Module], dtype: torch.dtype) -> PackedLinear:
    """Pack linear layers with the same input as one."""
    each = cast(Sequence[nn.Linear], layers)
    whole = nn.Linear(each[0].in_features, sum(layer.out_features for layer in each), device="meta")
    whole.weight = nn.Parameter(torch.cat([layer.weight for layer in each]), requires_grad=False)
    biases: list[Tensor] = [layer.bias for layer in each if layer.bias is not None]
    whole.bias = nn.Parameter(torch.cat(biases), requires_grad=False) if biases else None  # type: ignore[assignment]
    return PackedLinear(whole, dtype)
