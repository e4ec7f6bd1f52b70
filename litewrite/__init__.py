"""litewrite: a self-contained backend for apps, in one SQLite file and one folder of blobs.

The public names are loaded when they are first asked for, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from litewrite.config import Config
    from litewrite.server import Litewrite, ThreadedServer

__version__ = "0.1.0"
__all__ = ["Config", "Litewrite", "ThreadedServer", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "Config":
        from litewrite.config import Config

        return Config
    if name in ("Litewrite", "ThreadedServer"):
        from litewrite import server

        return getattr(server, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
