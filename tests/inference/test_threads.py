"""The caller's number of threads changes no byte of an output, and is the same afterwards."""

from __future__ import annotations

import cv2
import pytest
import torch

from dithead.inference.pipeline import generate
from dithead.inference.threads import each_on_one_thread, one_opencv_thread, one_thread_each


@pytest.fixture
def threads():
    """Set the number of threads; what it was comes back in the end."""
    before = torch.get_num_threads(), cv2.getNumThreads()

    def use(count: int) -> None:
        torch.set_num_threads(count)
        cv2.setNumThreads(count)

    yield use
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


def test_the_number_of_threads_changes_no_byte(threads, footage, pictures, speech, talker, tmp_path) -> None:
    source, outputs = footage(pictures[:6]), []
    for count in (1, 3):
        threads(count)
        made = generate(source, speech, tmp_path / f"{count}.mp4", model=talker, fit="silence", credentials=False)
        outputs.append(made.output.read_bytes())
        assert (torch.get_num_threads(), cv2.getNumThreads()) == (count, count)
    assert outputs[0] == outputs[1]


def test_all_libraries_compute_on_one_thread_inside(threads) -> None:
    threads(3)
    with one_thread_each():
        assert (torch.get_num_threads(), cv2.getNumThreads()) == (1, 1)
    seen = (torch.get_num_threads() for _ in range(2))
    for count in each_on_one_thread(seen):
        assert count == 1
        assert torch.get_num_threads() == 3


def test_an_error_leaves_the_number_of_threads_as_it_was(threads) -> None:
    threads(2)
    with pytest.raises(ZeroDivisionError), one_thread_each():
        raise ZeroDivisionError
    assert (torch.get_num_threads(), cv2.getNumThreads()) == (2, 2)


def test_opencv_keeps_to_one_thread_until_the_last_block_ends(threads) -> None:
    threads(2)
    first, second = one_opencv_thread(), one_opencv_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert cv2.getNumThreads() == 1, "another thread is still inside"
    second.__exit__(None, None, None)
    assert cv2.getNumThreads() == 2
