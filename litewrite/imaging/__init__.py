"""Pictures: decode, transform and encode them, and draw those that nobody uploaded.

Pure functions without state, network or database; files are read and written where the caller says. They take up to
seconds of processor time, so callers run them in a bounded pool of threads. Importing a module of this package loads
Pillow (about 100 ms and 15 MB), which is why callers import them when they are needed; this module and `options.py`
load nothing.
"""

from __future__ import annotations


class PictureError(Exception):
    """A picture cannot be made. The message is for logs."""


class PictureBroken(PictureError):
    """The bytes are no picture of an accepted kind, end too early, or hold more pixels than are decoded."""


class ResultTooLarge(PictureError):
    """What was asked for would have more pixels than are made, or than its format can hold."""
