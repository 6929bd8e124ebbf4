"""Prepares networks for drawing: weights in the type that the processor is fastest with, packed once, steps fused.

The networks themselves stay as they are; the copies made here share what need not change. On CPUs with oneDNN
(``torch.backends.mkldnn``) a matrix product or convolution, its bias and the activation after it become one call. These
calls give a frame the same bits whatever else is in its batch and however many threads run, which PyTorch's own do not.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dithead.models.autoencoder.face import FACTOR, FaceAutoencoder, HalvingStem, ResBlock
from dithead.models.recorded import fused_calls, record

M = TypeVar("M", bound=nn.Module)
A = TypeVar("A", bound=nn.Module)

_ROWS, _PICTURE = 512, 64  # rows, and input side of a convolution, for which the layout of packed weights is chosen
# A layer with many inputs sums them in an order that depends on the number of rows, so its samples are computed one by
# one. These are the numbers of inputs from which it does (docs/log).
_LONG_BF16 = 512  # in bfloat16 on AMX; on AVX-512 only from 1024
_LONG_F32 = 1024  # in float32, where each sample is a single row
_WHOLE = 32  # inputs of one step of AMX: a number of inputs that is no multiple of it has the same effect


def can_pack(device: torch.device, dtype: torch.dtype = torch.float32) -> bool:
    """Return whether oneDNN's fused calls can be used on a device, with parameters of a type.

    Processors without AVX-512 have none for bfloat16; there PyTorch emulates it, slowly.
    """
    if device.type != "cpu" or not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, _CALLS[0]):
        return False
    return dtype is not torch.bfloat16 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


Sides = Mapping[nn.Module, int]
"""Sides of the inputs of convolutions. A layout that was chosen for other sizes may take a hundred times as long."""


def packed(module: M, dtype: torch.dtype, *, pack: bool, sides: Sides | None = None) -> M:
    """Copy a network with its parameters in another type; buffers are shared.

    Args:
        module: The network.
        dtype: Type of the parameters.
        pack: Replace layers by oneDNN's fused calls. Without it the copy computes as the network itself does.
        sides: About how large the inputs of its convolutions are, where that is known.

    Returns:
        The copy, which takes and gives the same tensors. It cannot be trained, stored or moved.
    """
    if pack and type(module) in _PACKED and not _stays(module):
        return _PACKED[type(module)](module, dtype, sides or {})  # type: ignore[return-value]
    result: Any = copy.copy(module)
    result._parameters = {k: None if p is None else _converted(p, dtype) for k, p in module._parameters.items()}
    result._buffers = dict(module._buffers)
    result._modules = {
        k: None if m is None else packed(m, dtype, pack=pack, sides=sides) for k, m in module._modules.items()
    }
    if pack and type(module) is nn.Sequential:
        _fuse_activations(result)
    return result  # type: ignore[no-any-return]


def packed_autoencoder(autoencoder: A, dtype: torch.dtype, size: int, *, pack: bool) -> A:
    """Do as ``packed`` with stage one; where it is packed, what it computes is recorded (``models.recorded``).

    Args:
        autoencoder: Stage one.
        dtype: Type of the parameters.
        size: Side of its pictures in pixels.
        pack: See ``packed``.
    """
    known = pack and isinstance(autoencoder, FaceAutoencoder)
    result = packed(autoencoder, dtype, pack=pack, sides=_sides(autoencoder, size) if known else None)
    if pack and isinstance(result, FaceAutoencoder):
        side, channels = 2 * FACTOR, result.config.latent_channels
        picture, mask = torch.zeros(2, 3, side, side, dtype=dtype), torch.zeros(2, 1, side, side, dtype=dtype)
        latent = torch.zeros(2, channels, 2, 2, dtype=dtype)
        record(result, encode=(picture,), encode_masked=(picture,), decode=(latent, picture, mask, picture))
    return result


def _sides(autoencoder: nn.Module, size: int) -> Sides:
    """The inputs' sides of all convolutions of stage one, seen in one of the same build with single channels."""
    assert isinstance(autoencoder, FaceAutoencoder)
    widths = {name: value for name, value in vars(autoencoder.config).items() if isinstance(value, tuple)}
    thin: dict[str, Any] = {name: (1,) * len(value) for name, value in widths.items()}
    hollow = replace(autoencoder.config, **thin).build()
    picture, mask = torch.zeros(1, 3, size, size), torch.zeros(1, 1, size, size)
    own, sides = dict(zip(hollow.modules(), autoencoder.modules(), strict=True)), {}

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        sides[own[module]] = inputs[0].shape[-1]

    for module in hollow.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_pre_hook(note)
    with torch.no_grad():
        hollow.encode_masked(picture)
        hollow.decode(hollow.encode(picture), picture, mask, picture)
    return sides


class InType(nn.Module):
    """A module that computes in another type than what is around it."""

    def __init__(self, module: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.module, self.dtype = module, dtype

    def forward(self, x: Tensor, *others: Any) -> Tensor:
        """Return what the module makes of ``x``, in the type of ``x``."""
        return self.module(x.to(self.dtype), *others).to(x.dtype)  # type: ignore[no-any-return]


class PackedLinear(nn.Module):
    """A linear layer, with the GELU after it where there is one."""

    def __init__(self, layer: nn.Linear, dtype: torch.dtype, sides: Sides | None = None) -> None:  # noqa: ARG002
        super().__init__()
        self.bias = None if layer.bias is None else _converted(layer.bias, dtype)
        self.packed: Tensor
        weight = _converted(layer.weight, dtype).data
        self.register_buffer("packed", torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS), persistent=False)
        self.activation, self.algorithm = "none", ""
        self.alone = _alone(layer.in_features, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """See ``nn.Linear``."""
        call = fused_calls()["linear"]
        return call(x, self.packed, self.bias, self.activation, self.algorithm, self.alone)


class PackedConv(nn.Module):
    """A convolution, with the SiLU after it where there is one."""

    def __init__(self, layer: nn.Conv2d, dtype: torch.dtype, sides: Sides) -> None:
        super().__init__()
        self.side = sides.get(layer, _PICTURE)
        self._build(layer, _converted(layer.weight, dtype).data, dtype, layer.padding, layer.stride)

    def _build(self, layer: nn.Conv2d, weight: Tensor, dtype: torch.dtype, padding: Any, stride: Any) -> None:
        self.bias = None if layer.bias is None else _converted(layer.bias, dtype)
        self.dtype, self.activation = dtype, "none"
        self.shape = list(padding), list(stride), list(layer.dilation), layer.groups
        example = [8, weight.shape[1] * layer.groups, self.side, self.side]
        weight = weight.contiguous(memory_format=torch.channels_last)
        self.packed: Tensor
        layout = torch.ops.mkldnn._reorder_convolution_weight(weight, *self.shape, example)
        self.register_buffer("packed", layout, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """See ``nn.Conv2d``; the result lies in memory with channels last."""
        x = x.contiguous(memory_format=torch.channels_last)
        return fused_calls()["convolution"](x, self.packed, self.bias, self.shape, self.activation)

    def added_to(self, other: Tensor, x: Tensor) -> Tensor:
        """Return ``other`` plus the convolution of ``x``."""
        return fused_calls()["convolution_added"](x, other, self.packed, self.bias, self.shape)


class PackedConv1d(nn.Module):
    """A convolution over time as a matrix product: oneDNN's own choice is a hundred times slower at some sizes."""

    def __init__(self, layer: nn.Conv1d, dtype: torch.dtype, sides: Sides | None = None) -> None:  # noqa: ARG002
        super().__init__()
        rows = nn.Linear(layer.in_channels * layer.kernel_size[0], layer.out_channels, device="meta")
        rows.weight = nn.Parameter(layer.weight.transpose(1, 2).flatten(1), requires_grad=False)
        rows.bias = layer.bias  # type: ignore[assignment]
        self.rows, self.size, self.stride = PackedLinear(rows, dtype), layer.kernel_size[0], layer.stride[0]
        self.padding = int(layer.padding[0])

    def forward(self, x: Tensor) -> Tensor:
        """See ``nn.Conv1d``."""
        x = F.pad(x.transpose(1, 2), (0, 0, self.padding, self.padding)) if self.padding else x.transpose(1, 2)
        parts = x.unfold(1, self.size, self.stride).transpose(2, 3).flatten(2)  # (B, T, size * channels)
        return self.rows(parts).transpose(1, 2)  # type: ignore[no-any-return]


class PackedStem(PackedConv):
    """A convolution over squares of 2 x 2 pixels, as one over the pixels themselves in steps of two."""

    def __init__(self, layer: HalvingStem, dtype: torch.dtype, sides: Sides) -> None:
        nn.Module.__init__(self)
        self.side = sides.get(layer, _PICTURE)
        weight = _converted(layer.weight, dtype).data  # (out, channels * 2 * 2, k, k)
        by_pixel = weight.unflatten(1, (-1, 2, 2)).permute(0, 1, 4, 2, 5, 3)  # (out, channels, k, 2, k, 2)
        padding, side = [2 * p for p in layer.padding], 2 * weight.shape[-1]  # type: ignore[union-attr]
        self._build(layer, by_pixel.reshape(len(weight), -1, side, side), dtype, padding, [2, 2])


class PackedResBlock(nn.Module):
    """A ``ResBlock`` whose activation and sum are part of its convolutions."""

    def __init__(self, block: ResBlock, dtype: torch.dtype, sides: Sides) -> None:
        super().__init__()
        self.norm = packed(block.norm, dtype, pack=True)
        self.conv1, self.conv2 = PackedConv(block.conv1, dtype, sides), PackedConv(block.conv2, dtype, sides)
        self.conv1.activation = "swish"

    def forward(self, x: Tensor) -> Tensor:
        """See ``ResBlock``."""
        return self.conv2.added_to(x, self.conv1(self.norm(x)))


def _alone(inputs: int, dtype: torch.dtype) -> int:
    """Return the most dimensions that an input may have whose samples are computed one by one; 0: none are.

    An input of three dimensions has several rows for each sample, one of two dimensions has a single row.
    """
    if dtype is torch.bfloat16:
        return 3 if inputs >= _LONG_BF16 or inputs % _WHOLE else 0
    return 2 if dtype is torch.float32 and inputs >= _LONG_F32 else 0


_CALLS = ("_linear_pointwise", "_convolution_pointwise", "_reorder_linear_weight", "_reorder_convolution_weight")
_PACKED: dict[type, Any] = {
    nn.Linear: PackedLinear,
    nn.Conv1d: PackedConv1d,
    nn.Conv2d: PackedConv,
    HalvingStem: PackedStem,
    ResBlock: PackedResBlock,
}


def _stays(module: nn.Module) -> bool:
    """Whether a convolution over time is better left as it is: of one channel, and those that nobody uses here."""
    if not isinstance(module, nn.Conv1d):
        return False
    return module.in_channels == 1 or module.groups > 1 or module.dilation != (1,) or module.padding_mode != "zeros"


def _fuse_activations(layers: nn.Sequential) -> None:
    """Let linear layers compute the GELU that follows them."""
    for k in range(len(layers) - 1):
        layer, after = layers[k], layers[k + 1]
        if isinstance(layer, PackedLinear) and isinstance(after, nn.GELU):
            layer.activation, layer.algorithm = "gelu", after.approximate
            layers[k + 1] = nn.Identity()


def _converted(parameter: Tensor, dtype: torch.dtype) -> nn.Parameter:
    tensor = parameter.detach().to(dtype)
    if tensor.ndim == 4:
        tensor = tensor.contiguous(memory_format=torch.channels_last)
    return nn.Parameter(tensor, requires_grad=False)
