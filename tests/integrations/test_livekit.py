"""The avatar in LiveKit Agents' own runner, with a room that is a stand-in: frames, speech, ends, interruptions."""

from __future__ import annotations

import asyncio
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("livekit.agents", reason="livekit-agents is not installed")

from livekit import rtc
from livekit.agents.voice.avatar import AudioSegmentEnd, AvatarOptions, AvatarRunner, QueueAudioOutput

sys.path.insert(0, str(Path(__file__).parents[2] / "integrations" / "livekit"))

from livekit.plugins.dithead import AvatarSession, DitheadGenerator

from dithead.inference.live_conversation import Conversation

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
RATE = 24000


def tone(seconds: float, rate: int = RATE) -> np.ndarray:
    return (9000 * np.sin(2 * np.pi * 300 * np.arange(round(seconds * rate)) / rate)).astype("<i2")


def frames_of(speech: np.ndarray, rate: int = RATE) -> list[rtc.AudioFrame]:
    parts = np.split(speech, 10)
    return [rtc.AudioFrame(part.tobytes(), rate, 1, len(part)) for part in parts]


def heard(got: list[Any]) -> np.ndarray:
    parts = [bytes(each.data) for each in got if isinstance(each, rtc.AudioFrame)]
    return np.frombuffer(b"".join(parts), "<i2")


@pytest.mark.parametrize("rate", [RATE, 16000])
def test_an_utterance_comes_back_with_frames_and_ends_once(person, rate):
    speech = tone(1.0, rate)

    async def go() -> list[Any]:
        talk = Conversation(person, RATE)
        generator, got = DitheadGenerator(talk), []
        for frame in frames_of(speech, rate):
            await generator.push_audio(frame)
        await generator.push_audio(AudioSegmentEnd())
        async for each in generator:
            got.append(each)
            pictures = sum(isinstance(one, rtc.VideoFrame) for one in got)
            if any(isinstance(one, AudioSegmentEnd) for one in got) and pictures > 10:
                talk.close()
        return got

    got = asyncio.run(asyncio.wait_for(go(), 90))
    assert sum(isinstance(each, AudioSegmentEnd) for each in got) == 1
    sounds = heard(got)
    if rate == RATE:
        first = int(np.flatnonzero(sounds)[0]) - int(np.flatnonzero(speech)[0])
        assert np.array_equal(sounds[first : first + len(speech)], speech), "sample by sample"
    assert 0.9 * RATE < len(sounds) < 1.2 * RATE, "no silence of the pauses is published"
    end = next(k for k, each in enumerate(got) if isinstance(each, AudioSegmentEnd))
    assert not len(heard(got[end:])), "the end comes after the last sound"
    sizes = {(each.width, each.height, each.type) for each in got if isinstance(each, rtc.VideoFrame)}
    assert sizes == {(256, 256, rtc.VideoBufferType.RGB24)}


def test_an_interruption_drops_what_is_queued_and_its_end(person):
    async def go() -> list[Any]:
        talk = Conversation(person, RATE)
        generator, got = DitheadGenerator(talk), []
        for frame in frames_of(tone(20.0)):
            await generator.push_audio(frame)
        await generator.push_audio(AudioSegmentEnd())
        after = 0
        async for each in generator:
            got.append(each)
            if isinstance(each, rtc.AudioFrame) and not after:
                generator.clear_buffer()
                after = 1
            after += bool(after)
            if after > 40:
                talk.close()
        return got

    got = asyncio.run(asyncio.wait_for(go(), 90))
    assert len(heard(got)) < 2 * RATE
    assert not any(isinstance(each, AudioSegmentEnd) for each in got)


class Room:
    """A room that takes tracks and shows them to nobody."""

    def __init__(self) -> None:
        self.published: list[Any] = []
        self.local_participant = SimpleNamespace(
            identity="agent", publish_track=self._publish, track_publications={}, attributes={}, kind=0
        )
        self.remote_participants: dict[str, Any] = {}
        self.name = "room"

    def isconnected(self) -> bool:
        return True

    def on(self, *_: Any) -> None:
        return None

    off = on

    async def _publish(self, track: Any, options: Any) -> Any:
        self.published.append((track.name, options.source))

        async def subscribed() -> None:
            return None

        return SimpleNamespace(wait_for_subscription=subscribed)


def test_the_runner_publishes_both_tracks_and_tells_the_agent_when_it_has_spoken(person):
    async def go() -> tuple[Room, Any]:
        room, talk = Room(), Conversation(person, RATE)
        speech = QueueAudioOutput(sample_rate=RATE, wait_playback_start=True)
        options = AvatarOptions(*person.shown_size, person.fps, RATE, 1)
        runner = AvatarRunner(room, audio_recv=speech, video_gen=DitheadGenerator(talk), options=options)
        await runner.start()
        for frame in frames_of(tone(1.0)):
            await speech.capture_frame(frame)
        speech.flush()
        ended = await speech.wait_for_playout()
        talk.close()
        await runner.aclose()
        return room, ended

    room, ended = asyncio.run(asyncio.wait_for(go(), 90))
    assert [name for name, _ in room.published] == ["avatar_audio", "avatar_video"]
    assert not ended.interrupted
    assert ended.playback_position == pytest.approx(1.0, abs=0.1)


def test_the_session_takes_over_the_agents_speech(person):
    class Agent(SimpleNamespace):
        def on(self, *_: Any) -> None:
            return None

        off = emit = on

    async def go() -> tuple[Any, Room]:
        sinks: list[Any] = []
        agent = Agent(output=SimpleNamespace(replace_audio_tail=sinks.append))
        room, avatar = Room(), AvatarSession(person)
        await avatar.start(agent, room)
        assert (avatar.avatar_identity, avatar.provider) == ("agent", "dithead")
        await asyncio.sleep(1.0)
        await avatar.aclose()
        return sinks, room

    sinks, room = asyncio.run(asyncio.wait_for(go(), 90))
    assert isinstance(sinks[0], QueueAudioOutput)
    assert sinks[0].sample_rate == RATE
    assert len(room.published) == 2, "the person is shown before anybody speaks"
