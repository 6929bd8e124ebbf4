"""Let a person in a video speak live, into a window, a virtual camera or a file, with sound and pictures in step.

    python examples/live.py face.mp4 speech.wav                    # a window, and the loudspeaker
    python examples/live.py face.mp4 microphone --to camera        # a virtual camera
    python examples/live.py face.mp4 speech.wav --to out.mp4       # a file, as fast as the machine draws

The window needs tkinter, which most Pythons have; sound needs `pip install sounddevice`, and the virtual camera
`pip install pyvirtualcam`. Frames that would come too late are left out, so that the rest stays in step.
"""

from __future__ import annotations

import argparse
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import dithead
from dithead.inference.recording import LiveRecording
from dithead.inference.streaming import LiveFrame, LiveHead
from dithead.media.audio import read_audio
from dithead.types import Wave

RATE = 16000
CHUNK = 640  # samples of speech taken at once: 40 ms
SLACK = 0.15  # seconds of delay beyond the model's own: the more, the fewer frames come too late
Show = Callable[[LiveFrame], None]


def file_chunks(path: Path, real_time: bool) -> Iterator[Wave]:
    """Yield a recording in chunks, as a microphone would give them or at once."""
    wave, begun = read_audio(path, RATE), time.monotonic()
    for k in range(0, len(wave), CHUNK):
        if real_time:
            time.sleep(max(0.0, begun + k / RATE - time.monotonic()))
        yield wave[k : k + CHUNK]


def microphone_chunks() -> Iterator[Wave]:
    """Yield what the microphone hears, until Ctrl-C."""
    import sounddevice

    with sounddevice.InputStream(RATE, CHUNK, channels=1, dtype="float32") as stream:
        while True:
            yield stream.read(CHUNK)[0][:, 0]


class Loudspeaker:
    """Plays the speech ``delay`` seconds after it came in, so that it is heard with its frames."""

    def __init__(self, delay: float) -> None:
        import sounddevice

        self._waiting: queue.Queue[Wave | None] = queue.Queue()
        self._stream = sounddevice.OutputStream(RATE, CHUNK, channels=1, dtype="float32")
        self._stream.start()
        self._waiting.put(np.zeros(round(delay * RATE), np.float32))
        self._thread = threading.Thread(target=self._play, daemon=True)
        self._thread.start()

    def tee(self, chunks: Iterator[Wave]) -> Iterator[Wave]:
        """Pass chunks on, and play each."""
        for chunk in chunks:
            self._waiting.put(chunk)
            yield chunk
        self._waiting.put(None)

    def close(self) -> None:
        """Wait until all is played."""
        self._thread.join()
        self._stream.stop()

    def _play(self) -> None:
        while (chunk := self._waiting.get()) is not None:
            self._stream.write(np.ascontiguousarray(chunk[:, None]))


class Pacer:
    """Says when each frame is due: ``delay`` seconds after its own sound came in."""

    def __init__(self, delay: float) -> None:
        self.delay, self.begun = delay, 0.0
        self.shown = self.dropped = 0

    def started_by(self, chunks: Iterator[Wave]) -> Iterator[Wave]:
        """Pass chunks on; the clock starts with the first."""
        for chunk in chunks:
            self.begun = self.begun or time.monotonic()
            yield chunk

    def wait(self, frame: LiveFrame) -> bool:
        """Wait until a frame is due; return False where its moment has passed."""
        left = self.begun + frame.time + self.delay - time.monotonic()
        if left < -0.04:
            self.dropped += 1
            return False
        time.sleep(max(0.0, left))
        self.shown += 1
        return True


def run_live(head: LiveHead, chunks: Iterator[Wave], show: Show, *, sound: bool) -> Pacer:
    """Show frames in step with the sound until the speech ends."""
    delay = head.latency + SLACK
    pacer, speaker = Pacer(delay), Loudspeaker(delay) if sound else None
    heard = pacer.started_by(speaker.tee(chunks) if speaker else chunks)
    for frame in head.frames(heard, most_late=SLACK):
        if pacer.wait(frame):
            show(frame)
    if speaker:
        speaker.close()
    return pacer


def write_file(head: LiveHead, speech: Path, output: Path) -> int:
    """Write every frame and the speech to a signed file; nothing waits and nothing is left out."""
    recording = LiveRecording(head, output)
    return sum(1 for _ in recording.frames(file_chunks(speech, real_time=False)))


def in_window(head: LiveHead, chunks: Iterator[Wave], *, sound: bool) -> Pacer:
    """Show frames in a window of tkinter, which takes them as PPM pictures."""
    import tkinter

    root = tkinter.Tk()
    root.title("dithead")
    label = tkinter.Label(root)
    label.pack()

    def show(frame: LiveFrame) -> None:
        height, width = frame.pixels.shape[:2]
        picture = tkinter.PhotoImage(data=b"P6 %d %d 255 " % (width, height) + frame.pixels.tobytes(), format="PPM")
        label.configure(image=picture)
        label.image = picture  # type: ignore[attr-defined]  # tkinter keeps no reference of its own
        root.update()

    return run_live(head, chunks, show, sound=sound)


def in_camera(head: LiveHead, chunks: Iterator[Wave], *, sound: bool) -> Pacer:
    """Send frames to a virtual camera, which other programs see as a webcam."""
    import pyvirtualcam

    info: Any = head.clip.info
    with pyvirtualcam.Camera(info.width, info.height, float(info.fps)) as camera:
        print(f"other programs see this as the camera {camera.device}")
        return run_live(head, chunks, lambda frame: camera.send(frame.pixels), sound=sound)


def main() -> None:
    """Read the arguments, prepare the head and speak."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path, help="a video of the person")
    parser.add_argument("speech", help="a recording, or: microphone")
    parser.add_argument("--to", default="window", help="window (default), camera, or the name of a video file")
    parser.add_argument("--model", default="small", help="a shipped name or a model folder")
    parser.add_argument("--mute", action="store_true", help="do not play the speech")
    chosen = parser.parse_args()
    head = LiveHead(chosen.video, model=chosen.model)
    print(f"ready; pictures and sound come {head.latency + SLACK:.2f} s after the speech", flush=True)
    if chosen.to not in ("window", "camera"):
        print(f"{chosen.to}  {write_file(head, Path(chosen.speech), Path(chosen.to))} frames")
        return
    is_live = chosen.speech == "microphone"
    chunks = microphone_chunks() if is_live else file_chunks(Path(chosen.speech), real_time=True)
    shown = (in_window if chosen.to == "window" else in_camera)(head, chunks, sound=not (chosen.mute or is_live))
    print(f"{shown.shown} frames shown, {shown.dropped} drawn too late")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
    except dithead.DitheadError as error:
        sys.exit(f"live: {error}")
    except ImportError as error:
        sys.exit(f"live: {error.name} is not installed; install it with: pip install {error.name}")
