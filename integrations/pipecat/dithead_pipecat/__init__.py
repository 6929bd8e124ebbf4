"""A video service for Pipecat: the speech of an assistant goes in, and comes out with the person who speaks it."""

from .video import DitheadVideoService

__all__ = ["DitheadVideoService"]
