"""What do Content Credentials cost in time and bytes? Signs one video at several lengths, and checks it again.

    python experiments/credentials_cost.py examples/presenters/mia.mp4 FOLDER

The video is repeated without encoding it again. Times are processor time of this process, the least of three.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import av

from dithead.provenance.manifest import Claim, RedrawnSpan, Source
from dithead.provenance.sign import Signer
from dithead.provenance.verify import verify
from shared import make_parser

REPEATS = (1, 20, 200)


def repeated(source: Path, target: Path, times: int) -> float:
    """Write the picture of a video several times over; returns its seconds."""
    with av.open(str(source)) as first, av.open(str(target), "w", options={"movflags": "faststart"}) as new:
        stream = new.add_stream_from_template(first.streams.video[0])
        length = first.streams.video[0].duration
        for k in range(times):
            with av.open(str(source)) as given:
                for packet in given.demux(given.streams.video[0]):
                    if packet.dts is not None:
                        packet.pts, packet.dts = packet.pts + k * length, packet.dts + k * length
                        packet.stream = stream
                        new.mux(packet)
        return float(length * first.streams.video[0].time_base) * times


def least(work: Callable[[], object]) -> float:
    """Return the least processor time of three runs, in seconds."""
    times = []
    for _ in range(3):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return min(times)


def main() -> None:
    """Print a row for each length."""
    parser = make_parser(__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    signer = Signer()
    print("| video | size | signing | added | checking |\n|---|---:|---:|---:|---:|")
    for times in REPEATS:
        file = given.folder / f"{times}.mp4"
        seconds = repeated(given.video, file, times)
        size = file.stat().st_size
        spans = tuple(RedrawnSpan(1, float(k), k + 1.0, (100, 200, 80, 60)) for k in range(min(120, int(seconds))))
        sources = (Source(given.video, "parentOf"), Source(given.video, "componentOf"))
        claim = Claim("compositeWithTrainedAlgorithmicMedia", "cost", sources, spans, {"model": {"name": "small"}})
        content = file.read_bytes()

        def sign(file: Path = file, content: bytes = content, claim: Claim = claim) -> None:
            file.write_bytes(content)
            signer.sign(file, claim)

        signing = least(sign) - least(lambda file=file, content=content: file.write_bytes(content))
        sign()
        checking = least(lambda file=file: verify(file, watermark=False))
        added = file.stat().st_size - size
        sizes = f"{size / 2**20:.1f} MiB | {signing:.3f} s | {added / 1000:.1f} kB"
        print(f"| {seconds:.0f} s | {sizes} | {checking:.3f} s |")


if __name__ == "__main__":
    main()
