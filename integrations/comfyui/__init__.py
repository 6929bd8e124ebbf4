"""ComfyUI loads this folder and asks ``comfy_entrypoint`` for its nodes (V3 schema, ``comfy_api.v0_0_2``)."""

from .nodes import comfy_entrypoint

__all__ = ["comfy_entrypoint"]
