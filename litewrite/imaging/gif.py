"""How a GIF is built, read from its blocks without decoding anything.

Pillow knows how many frames there are only after it has gone through all of them; here the walk ends at a limit.
"""

from __future__ import annotations

from typing import IO, Final, NamedTuple

_EXTENSION: Final = 0x21
_IMAGE: Final = 0x2C
_CONTROL: Final = 0xF9
_TO_BACKGROUND: Final = 2
_TO_PREVIOUS: Final = 3


class Animation(NamedTuple):
    frames: int
    """Complete frames; one more than the limit stands for any number above it."""
    clears: bool
    """Whether a frame is taken away again after it was shown."""


def scan_gif(file: IO[bytes], limit: int) -> Animation:
    """Count the frames, and look how they go. The file is read from where it is and put back there.

    What is cut off or is no GIF ends the count, it raises nothing. A still picture has one frame.
    """
    start = file.tell()
    try:
        return _scan(file, limit)
    finally:
        file.seek(start)


def _scan(file: IO[bytes], limit: int) -> Animation:
    frames, clears = 0, False
    header = file.read(13)
    if len(header) == 13:
        _skip_colours(file, header[10])
        while frames <= limit and (introducer := file.read(1)):
            if introducer[0] == _EXTENSION:
                label = file.read(1)
                if label and label[0] == _CONTROL:
                    control = file.read(2)
                    if len(control) < 2:
                        break
                    clears = clears or control[1] >> 2 & 7 in (_TO_BACKGROUND, _TO_PREVIOUS)
                    file.seek(control[0] - 1, 1)
            elif introducer[0] == _IMAGE:
                descriptor = file.read(9)
                if len(descriptor) < 9:
                    break
                _skip_colours(file, descriptor[8])
                file.seek(1, 1)
                frames += 1
            else:
                break
            if not _skip_blocks(file):
                break
    return Animation(max(1, frames), clears)


def _skip_colours(file: IO[bytes], flags: int) -> None:
    if flags & 0x80:
        file.seek(3 << (flags & 7) + 1, 1)


def _skip_blocks(file: IO[bytes]) -> bool:
    """Go behind the data blocks; False when the file ends in them."""
    while size := file.read(1):
        if size[0] == 0:
            return True
        file.seek(size[0], 1)
    return False
