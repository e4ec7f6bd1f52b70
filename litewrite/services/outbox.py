"""What an event leaves behind in its transaction for webhooks and functions."""

from __future__ import annotations

from litewrite.db.engine import Transaction
from litewrite.events import Event, EventRenderer
from litewrite.security import ServerSecret


class Recorder:
    """Called for every emitted event, on the writer's thread."""

    def __init__(self, renderer: EventRenderer, secret: ServerSecret) -> None:
        self._renderer = renderer
        self._secret = secret

    def __call__(self, tx: Transaction, event: Event) -> None:
        name = self._renderer.name(event)
        if not name:
            return
