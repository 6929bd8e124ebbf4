"""Model, video and speech in, video out.

``dithead.generate`` is a folder and the function to call: importing any module of the folder puts the folder
in the package under that name, so the folder itself can be called. Nothing heavy loads before it is.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dithead.generate.pipeline import generate as generate
    from dithead.generate.result import GenerateResult as GenerateResult


class _Callable(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> GenerateResult:
        from dithead.generate.pipeline import generate

        return generate(*args, **kwargs)


def __getattr__(name: str) -> Any:
    if name == "generate":
        from dithead.generate.pipeline import generate

        return generate
    raise AttributeError(f"module 'dithead.generate' has no attribute '{name}'")


sys.modules[__name__].__class__ = _Callable
