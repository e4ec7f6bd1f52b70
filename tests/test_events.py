"""The bus, and what units of work hand to it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from litewrite.api.v0_11.events import SUBSCRIBABLE, Renderer
from litewrite.entities import CONSOLE, EPOCH, Session, User
from litewrite.events import Event, EventBus
from litewrite.permissions import Actor, ActorKind
from tests.conftest import World

ADA = User(id="5f3c0a1b2c3d4", project_id="p", name="Ada", email="ada@example.com", registered_at=EPOCH)
GUEST = Actor(ActorKind.GUEST, "p")
MEMBER = Actor(ActorKind.USER, "p", user=ADA, session_id="s1")


def session(id: str) -> Session:
    return Session(id=id, project_id="p", user_id=ADA.id, secret_hash="", expires_at=EPOCH, provider="email")


class TestBus:
    def test_listeners_hear_events_in_order(self) -> None:
        bus, heard = EventBus(), []
        bus.subscribe(lambda event: heard.append(event.action))
        bus.publish([Event("account", "create", ADA, GUEST), Event("account", "delete", ADA, GUEST)])
        bus.publish([Event("account", "update.name", ADA, GUEST)])
        assert heard == ["create", "delete", "update.name"]

    def test_one_that_left_hears_nothing_more(self) -> None:
        bus, heard = EventBus(), []
        leave = bus.subscribe(lambda event: heard.append(event.action))
        leave()
        bus.publish([Event("account", "create", ADA, GUEST)])
        assert heard == []

    def test_one_may_leave_while_it_is_told(self) -> None:
        bus, heard = EventBus(), []
        leave: list[Callable[[], None]] = []

        def once(event: Event) -> None:
            heard.append("once")
            leave[0]()

        leave.append(bus.subscribe(once))
        bus.subscribe(lambda event: heard.append("always"))
        bus.publish([Event("account", "create", ADA, GUEST)] * 2)
        assert heard == ["once", "always", "always"]

    def test_one_that_fails_is_logged_and_does_not_hinder_others(self, caplog: pytest.LogCaptureFixture) -> None:
        bus, heard = EventBus(), []

        def fail(event: Event) -> None:
            raise ValueError("broken")

        bus.subscribe(fail)
        bus.subscribe(lambda event: heard.append(event.action))
        with caplog.at_level(logging.ERROR):
            bus.publish([Event("account", "create", ADA, GUEST)])
        assert heard == ["create"]
        assert "account create" in caplog.text


class TestNames:
    def test_there_are_44_names_to_subscribe_to(self) -> None:
        assert len(SUBSCRIBABLE) == len(set(SUBSCRIBABLE)) == 44

    @pytest.mark.parametrize(
        ("resource", "action", "name"),
        [
            ("account", "create", "account.create"),
            ("account", "update.name", "account.update.name"),
            ("account", "delete", "account.delete"),
            ("session", "create", "account.sessions.create"),
            ("sessions", "delete", "account.sessions.delete"),
            ("collection", "update", "database.collections.update"),
            ("document", "create", "database.documents.create"),
            ("file", "delete", "storage.files.delete"),
            ("function", "create", "functions.create"),
            ("function", "update.deployment", "functions.tags.update"),
            ("deployment", "create", "functions.tags.create"),
            ("execution", "update", "functions.executions.update"),
        ],
    )
    def test_each_kind_of_change(self, resource: str, action: str, name: str) -> None:
        assert Renderer().name(Event(resource, action, None, MEMBER)) == name

    def test_the_console_has_none(self) -> None:
        assert Renderer().name(Event("account", "create", ADA, Actor(ActorKind.GUEST, CONSOLE))) == ""

    def test_what_is_no_name_cannot_be_subscribed_to(self) -> None:
        assert Renderer().name(Event("account", "explode", ADA, MEMBER)) == ""


class TestRendering:
    def test_of_an_account(self) -> None:
        rendered = Renderer().render(Event("account", "update.name", ADA, MEMBER))
        assert rendered.name == "account.update.name"
        assert '"email":"ada@example.com"' in rendered.payload
        assert rendered.user_id == ADA.id
        assert rendered.channels == ("account", f"account.{ADA.id}")
        assert rendered.roles == (f"user:{ADA.id}",)

    def test_guests_act_as_nobody(self) -> None:
        assert Renderer().render(Event("account", "create", ADA, GUEST)).user_id == ""

    @pytest.mark.parametrize("current", [True, False])
    def test_of_a_session(self, current: bool) -> None:
        rendered = Renderer().render(Event("session", "delete", session("s1"), MEMBER, {"current": current}))
        assert f'"current":{str(current).lower()}' in rendered.payload
        assert rendered.channels == ("account", f"account.{ADA.id}")

    def test_of_all_sessions_marks_the_current_one(self) -> None:
        rendered = Renderer().render(Event("sessions", "delete", (session("s0"), session("s1")), MEMBER))
        assert rendered.payload.startswith('{"sum":2,"sessions":[{"$id":"s0"')
        assert rendered.payload.count('"current":true') == 1
        assert rendered.payload.index('"current":true') > rendered.payload.index('"$id":"s1"')
        assert rendered.roles == (f"user:{ADA.id}",)


async def test_events_leave_after_the_commit_and_never_on_failure(world: World) -> None:
    heard: list[Any] = []
    world.backend.bus.subscribe(heard.append)
    actor = Actor(ActorKind.GUEST, "default")

    def unit(tx: Any) -> None:
        tx.emit(Event("account", "create", ADA, actor))
        assert heard == []

    def failing(tx: Any) -> None:
        tx.emit(Event("account", "delete", ADA, actor))
        raise ValueError

    await world.backend.db.write(unit)
    with pytest.raises(ValueError):
        await world.backend.db.write(failing)
    assert [event.action for event in heard] == ["create"]
