"""Plugin for LiveKit Agents: a person in a video or a picture speaks what the agent says, drawn in the agent itself."""

from livekit.agents import Plugin

from .avatar import AvatarSession, DitheadGenerator, logger
from .version import __version__

__all__ = ["AvatarSession", "DitheadGenerator", "__version__"]


class DitheadPlugin(Plugin):
    """What LiveKit Agents knows of this plugin."""

    def __init__(self) -> None:
        super().__init__(__name__, __version__, __package__ or __name__, logger)


Plugin.register_plugin(DitheadPlugin())
