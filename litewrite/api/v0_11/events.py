"""The events of Appwrite 0.11: names, payloads, channels and who hears them.

The table tells, for each resource and action of a neutral event, the name under which webhooks and functions subscribe
and how its payload is made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from litewrite.api.v0_11 import models
from litewrite.entities import CONSOLE
from litewrite.events import Event, RenderedEvent
from litewrite.http.model import Model

SUBSCRIBABLE = (
    "account.create",
    "account.update.email",
    "account.update.name",
    "account.update.password",
    "account.update.prefs",
    "account.recovery.create",
    "account.recovery.update",
    "account.verification.create",
    "account.verification.update",
    "account.delete",
    "account.sessions.create",
    "account.sessions.delete",
    "database.collections.create",
    "database.collections.update",
    "database.collections.delete",
    "database.documents.create",
    "database.documents.update",
    "database.documents.delete",
    "functions.create",
    "functions.update",
    "functions.delete",
    "functions.tags.create",
    "functions.tags.update",
    "functions.tags.delete",
    "functions.executions.create",
    "functions.executions.update",
    "storage.files.create",
    "storage.files.update",
    "storage.files.delete",
    "users.create",
    "users.update.prefs",
    "users.update.email",
    "users.update.name",
    "users.update.password",
    "users.update.status",
    "users.delete",
    "users.sessions.delete",
    "teams.create",
    "teams.update",
    "teams.delete",
    "teams.memberships.create",
    "teams.memberships.update",
    "teams.memberships.update.status",
    "teams.memberships.delete",
)
"""The names that webhooks and functions can subscribe to."""

Audience = tuple[tuple[str, ...], tuple[str, ...]]
"""Realtime channels, and the roles one of which a listener needs."""

NOBODY: Audience = ((), ())


@dataclass(frozen=True, slots=True)
class _Kind:
    prefix: str
    payload: Callable[[Event], bytes]
    audience: Callable[[Event], Audience]
    public_payload: Callable[[Event], bytes] | None = None
    """What realtime listeners get, when webhooks and functions get more."""


def _model(make: Callable[[Any], Model]) -> Callable[[Event], bytes]:
    return lambda event: make(event.subject).render()


def _account(user_id: str) -> Audience:
    return ("account", f"account.{user_id}"), (f"user:{user_id}",)


def _session_payload(event: Event) -> bytes:
    current = bool(event.extra.get("current"))
    token = str(event.extra.get("provider_token", ""))
    session = models.Session.of(event.subject, current=current, country_name="Unknown", provider_token=token)
    return session.render()


def _sessions_payload(event: Event) -> bytes:
    actor = event.actor
    return models.SessionList.of(
        [
            models.Session.of(
                session,
                current=not actor.via_jwt and session.id == actor.session_id,
                country_name="Unknown",
            )
            for session in event.subject
        ]
    ).render()


def _user_payload(event: Event) -> bytes:
    model = models.Preferences if event.action == "update.prefs" else models.User
    return model.of(event.subject).render()


def _token_payload(event: Event) -> bytes:
    return models.Token.of(event.subject, event.extra["secret"]).render()


def _public_token_payload(event: Event) -> bytes:
    return models.Token.of(event.subject, event.extra["secret"] if event.action == "update" else "").render()


def _token_audience(event: Event) -> Audience:
    return _account(event.subject.user_id)


def _team_audience(event: Event) -> Audience:
    team = event.subject
    return ("teams", f"teams.{team.id}"), (f"team:{team.id}",)


def _membership_audience(event: Event) -> Audience:
    membership = event.subject.membership
    return ("memberships", f"memberships.{membership.id}"), (f"team:{membership.team_id}",)


def _collection_audience(event: Event) -> Audience:
    collection = event.subject
    return ("collections", f"collections.{collection.id}"), collection.permissions.read


def _document_payload(event: Event) -> bytes:
    return models.Document.of(event.subject, event.extra.get("data")).render()


def _document_audience(event: Event) -> Audience:
    document = event.subject
    channels = ("documents", f"documents.{document.id}", f"collections.{document.collection_id}.documents")
    return channels, document.permissions.read


def _file_audience(event: Event) -> Audience:
    return ("files", f"files.{event.subject.id}"), event.subject.permissions.read


def _execution_audience(event: Event) -> Audience:
    execution = event.subject
    channels = ("executions", f"executions.{execution.id}", f"functions.{execution.function_id}")
    return channels, execution.permissions.read


_KINDS: dict[str, _Kind] = {
    "account": _Kind("account", _model(models.User.of), lambda event: _account(event.subject.id)),
    "session": _Kind("account.sessions", _session_payload, lambda event: _account(event.subject.user_id)),
    "sessions": _Kind("account.sessions", _sessions_payload, lambda event: _account(event.actor.user_id)),
    "recovery": _Kind("account.recovery", _token_payload, _token_audience, _public_token_payload),
    "verification": _Kind("account.verification", _token_payload, _token_audience, _public_token_payload),
    "user": _Kind("users", _user_payload, lambda event: NOBODY),
    "team": _Kind("teams", _model(models.Team.of), _team_audience),
    "membership": _Kind("teams.memberships", _model(models.Membership.of), _membership_audience),
    "collection": _Kind("database.collections", _model(models.Collection.of), _collection_audience),
    "document": _Kind("database.documents", _document_payload, _document_audience),
    "file": _Kind("storage.files", _model(models.File.of), _file_audience),
    "function": _Kind("functions", _model(models.Function.of), lambda event: NOBODY),
    "deployment": _Kind("functions.tags", _model(models.Tag.of), lambda event: NOBODY),
    "execution": _Kind("functions.executions", _model(models.Execution.of), _execution_audience),
}
_RENAMED = {("function", "update.deployment"): "functions.tags.update"}
_EMPTY_PAYLOADS = frozenset(("functions.delete", "functions.tags.delete"))


class Renderer:
    """Puts neutral events into the words of Appwrite 0.11."""

    def name(self, event: Event) -> str:
        """The name under which webhooks and functions can subscribe to the event; empty when they cannot.

        Nothing on the project of the administrators can be subscribed to.
        """
        if event.project_id == CONSOLE:
            return ""
        name = self._name(event)
        return name if name in SUBSCRIBABLE else ""

    @staticmethod
    def _name(event: Event) -> str:
        renamed = _RENAMED.get((event.resource, event.action))
        return renamed or f"{_KINDS[event.resource].prefix}.{event.action}"

    def audience(self, event: Event) -> Audience:
        """Who hears of the event; costs next to nothing compared to rendering it."""
        return _KINDS[event.resource].audience(event)

    def render(self, event: Event) -> RenderedEvent:
        kind = _KINDS[event.resource]
        name = self._name(event)
        channels, roles = kind.audience(event)
        return RenderedEvent(
            name=name,
            payload="{}" if name in _EMPTY_PAYLOADS else kind.payload(event).decode(),
            user_id=event.actor.user_id,
            channels=channels,
            roles=roles,
            public_payload=kind.public_payload(event).decode() if kind.public_payload else "",
        )
