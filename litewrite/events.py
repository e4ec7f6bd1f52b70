"""What happened, handed on after the commit.

A unit of work emits `Event`s; they leave only when its transaction has committed, and not at all when it rolls back.
Events are free of any dialect: who listens asks an `EventRenderer` for name, payload and channels.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from litewrite.permissions import Actor

log = logging.getLogger(__name__)

NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Event:
    """A change of one resource.

    `resource` and `action` are plain words ("document", "create"; "membership", "update.status"). `subject` is the
    entity as it is after the change (before it, for a deletion). `extra` carries what the entity does not know, such
    as the plain secret of a token.
    """

    resource: str
    action: str
    subject: Any
    actor: Actor
    extra: Mapping[str, Any] = field(default_factory=lambda: NOTHING)

    @property
    def project_id(self) -> str:
        return self.actor.project_id


@dataclass(frozen=True, slots=True)
class RenderedEvent:
    """An event in the words of one dialect. `payload` is JSON text, whole, with what only servers may see."""

    name: str
    payload: str
    user_id: str
    channels: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    public_payload: str = ""
    """What realtime listeners get when it differs from `payload`."""


class EventRenderer(Protocol):
    def name(self, event: Event) -> str:
        """The name under which webhooks and functions can subscribe to the event; empty when they cannot."""
        ...

    def render(self, event: Event) -> RenderedEvent: ...


Listener = Callable[[Event], None]


class EventBus:
    """Hands committed events to its listeners, in the order of their commits, on the event loop.

    A listener must return at once: it queues what takes time. One that raises is logged and does not hinder the others.
    """

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Add a listener and return the function that removes it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def publish(self, events: list[Event]) -> None:
        if not self._listeners:
            return
        for event in events:
            for listener in tuple(self._listeners):
                try:
                    listener(event)
                except Exception:
                    log.exception("an event listener failed on %s %s", event.resource, event.action)
