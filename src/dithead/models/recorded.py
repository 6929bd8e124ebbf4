"""Records what a network computes, so that it runs outside of Python's lock and without Python's part of each call.

PyTorch's own layers leave Python's lock at every call, of which one live frame has a thousand, and wait for it after
each: with several threads, that takes longer than the calls. A recording (TorchScript) is one call, with the same bits.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.jit import TracerWarning  # type: ignore[attr-defined]
from torch.jit._fuser import optimized_execution

_wanted = ContextVar("networks are recorded", default=True)


@contextmanager
def unrecorded() -> Iterator[None]:
    """Let ``record`` leave networks as they are while the block runs, for drawing that ends soon.

    Recording takes a quarter of a second of one core, and batches of eight frames are drawn no faster by it.
    """
    before = _wanted.set(False)
    try:
        yield
    finally:
        _wanted.reset(before)


def is_recorded() -> bool:
    """Return whether ``record`` does anything here; its inputs need not be made otherwise."""
    return _wanted.get()


def record(module: nn.Module, **methods: tuple[Tensor, ...]) -> None:
    """Replace methods of one module by recordings of them.

    What they compute must not depend on the numbers in their inputs, nor on shapes but through PyTorch's functions
    (``x.shape``, not ``len(x)``).

    Args:
        module: A network that is drawn with, and neither trained nor moved.
        methods: Inputs of the right types of each method, which takes and returns tensors; other shapes may follow.
    """
    if not _wanted.get():
        return
    made = {name: _recording(module, name, inputs) for name, inputs in methods.items()}
    for name, recording in made.items():
        setattr(module, name, recording)


def _recording(module: nn.Module, method: str, inputs: tuple[Tensor, ...]) -> Callable[..., Any]:
    """Record one method.

    Weights in oneDNN's own layout cannot be constants of a recording, so they are given to it with every call. They
    could also be parts of a recorded module, but to record one takes far longer.
    """
    holders = [each for each in module.modules() if "packed" in each._buffers]
    weights = [holder._buffers["packed"] for holder in holders]

    def computed(*given: Tensor) -> Any:
        try:
            for holder, weight in zip(holders, given[len(inputs) :], strict=True):
                holder._buffers["packed"] = weight
            return getattr(module, method)(*given[: len(inputs)])
        finally:
            for holder, known in zip(holders, weights, strict=True):
                holder._buffers["packed"] = known

    with torch.no_grad(), _deprecation_ignored():
        made = torch.jit.trace(computed, (*inputs, *weights), check_trace=False)  # type: ignore[no-untyped-call]

    def play(*given: Tensor) -> Any:
        with optimized_execution(False):  # type: ignore[no-untyped-call]  # it would take time, and gain nothing
            return made(*given, *weights)

    return play


@contextmanager
def _deprecation_ignored() -> Iterator[None]:
    """PyTorch advises ``torch.compile`` instead, which needs a compiler on the user's machine."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", TracerWarning)
        yield


@lru_cache(maxsize=1)
def fused_calls() -> dict[str, Callable[..., Tensor]]:
    """Return oneDNN's fused calls as functions that can be recorded, by name.

    ``linear`` and ``convolution`` compute the activation as well, ``convolution_added`` a sum.
    """
    with _deprecation_ignored():
        return {
            "linear": torch.jit.script(_linear),
            "convolution": torch.jit.script(_convolution),
            "convolution_added": torch.jit.script(_convolution_added),
        }


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None, activation: str, algorithm: str, alone: int) -> Tensor:
    if x.dim() > alone or x.dim() < 2 or x.size(0) == 1:
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, activation, [], algorithm)
    made: list[Tensor] = []
    for k in range(x.size(0)):
        made.append(torch.ops.mkldnn._linear_pointwise(x.narrow(0, k, 1), weight, bias, activation, [], algorithm))
    return torch.cat(made)


def _convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None, shape: tuple[list[int], list[int], list[int], int], activation: str
) -> Tensor:
    padding, stride, dilation, groups = shape
    return torch.ops.mkldnn._convolution_pointwise(
        x, weight, bias, padding, stride, dilation, groups, activation, [], ""
    )


def _convolution_added(
    x: Tensor, other: Tensor, weight: Tensor, bias: Tensor | None, shape: tuple[list[int], list[int], list[int], int]
) -> Tensor:
    padding, stride, dilation, groups = shape
    return torch.ops.mkldnn._convolution_pointwise(
        x, other, weight, bias, padding, stride, dilation, groups, "add", None, None, [], None
    )
