"""Images of several studies worked on one after the other: those of the next one are read and unpacked meanwhile.

Reading is unpacking and hashing, during which other Python code runs on: a third of what rules on a whole body take.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import SimpleITK as sitk


class ReadAhead:
    """One thread that reads; at most the images of the present study and of the next one are in memory.

    Nothing is read before the first image of the present study is asked for, so that studies for which there is nothing
    to do cost nothing, unless one follows on another with something to do. Within a with block; the thread ends with
    it, after the image that it is just reading.
    """

    def __init__(self, read: Callable[[str], sitk.Image], studies: Sequence[Sequence[str]]) -> None:
        """``read`` gives an image by its id and is called in the thread; ``studies`` are the ids of each study."""
        self._read = read
        self._studies = [tuple(ids) for ids in studies]
        self._present = 0
        self._kept: dict[str, Future[sitk.Image]] = {}
        self._pool = ThreadPoolExecutor(1, "read-ahead")

    def __enter__(self) -> ReadAhead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._kept.clear()

    def go_to(self, number: int) -> None:
        """Say which study, from 0, is worked on from now on; images of others before it are forgotten."""
        self._present = number
        self._kept = {image_id: read for image_id, read in self._kept.items() if image_id in self._studies[number]}

    def image(self, image_id: str) -> sitk.Image | None:
        """An image of the present study, None for any other. Raises what ``read`` raises for it."""
        if image_id not in self._studies[self._present]:
            return None
        for ids in self._studies[self._present : self._present + 2]:
            for each in ids:
                if each not in self._kept:
                    self._kept[each] = self._pool.submit(self._read, each)
        return sitk.Image(self._kept[image_id].result())  # shares the voxels until one of the two is changed
