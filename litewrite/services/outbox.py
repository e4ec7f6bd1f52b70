"""What an event leaves behind in its transaction: a row of the outbox for every webhook and function that asked for it.

The recorder sees every event of every write, and most projects have nobody who asked. So it first looks up whether
anybody did, which costs one look into a dictionary, and only then lets the dialect find name and payload.
"""

from __future__ import annotations

from litewrite.db.engine import Transaction
from litewrite.db.outbox import FUNCTION, WEBHOOK
from litewrite.events import Event, EventRenderer
from litewrite.security import ServerSecret

_EMPTY = "{}"


class Recorder:
    """Called for every emitted event, on the writer's thread. Payloads are encrypted, since some carry a secret.

    With `functions` False nothing is kept for functions, because this server is not going to run any.
    """

    def __init__(self, renderer: EventRenderer, secret: ServerSecret, *, functions: bool = True) -> None:
        self._renderer = renderer
        self._secret = secret
        self._functions = functions

    def __call__(self, tx: Transaction, event: Event) -> None:
        outbox = tx.stores.outbox
        subscriptions = outbox.subscriptions(tx, event.actor.project_id)
        if not subscriptions:
            return
        subscribers = subscriptions.get(self._renderer.name(event))
        if subscribers is None:
            return
        functions = subscribers.functions if self._functions and not _ends_execution(event) else ()
        if not (subscribers.webhooks or functions):
            return
        rendered = self._renderer.render(event)
        project_id, name, user_id = event.actor.project_id, rendered.name, rendered.user_id
        sealed = self._secret.encrypt(rendered.payload)
        for webhook_id in subscribers.webhooks:
            outbox.insert(tx, project_id, WEBHOOK, webhook_id, name, sealed, user_id)
        # A program gets an empty text for an event that has nothing to tell, a webhook a body all the same.
        sealed = b"" if rendered.payload == _EMPTY else sealed
        for function_id in functions:
            outbox.insert(tx, project_id, FUNCTION, function_id, name, sealed, user_id)


def _ends_execution(event: Event) -> bool:
    """The end of a run starts none, or two functions could call each other for ever."""
    return event.resource == "execution" and event.action == "update"
