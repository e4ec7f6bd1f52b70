"""Roles, and who may read and write what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litewrite.entities import EPOCH, Permissions, User
from litewrite.permissions import (
    GUEST_ROLES,
    Actor,
    ActorKind,
    allows,
    can_read,
    can_write,
    user_roles,
)

ADA = User(id="ada", project_id="p", name="", email="", registered_at=EPOCH)
GUEST = Actor(ActorKind.GUEST, "p")
MEMBER = Actor(ActorKind.USER, "p", roles=user_roles("ada", [("team", ["owner", "any"])]), user=ADA)
KEY = Actor(ActorKind.KEY, "p", roles=frozenset(("*", "role:app")))
ADMIN = Actor(ActorKind.ADMIN, "p", roles=frozenset(("*", "role:owner")), admin_id="root")

ROLES = st.sampled_from(
    [
        "*",
        "role:guest",
        "role:member",
        "user:ada",
        "user:eve",
        "team:team",
        "team:team/owner",
        "team:other",
        "user:{self}",
    ]
)


def test_the_roles_of_a_user() -> None:
    assert user_roles("ada", []) == {"*", "role:member", "user:ada"}
    assert user_roles("ada", [("t1", ["owner", "dev"]), ("t2", [])]) == {
        "*",
        "role:member",
        "user:ada",
        "team:t1",
        "team:t1/owner",
        "team:t1/dev",
        "team:t2",
    }


@pytest.mark.parametrize(
    ("role", "guest", "member"),
    [
        ("*", True, True),
        ("role:guest", True, False),
        ("role:member", False, True),
        ("role:app", False, False),
        ("user:ada", False, True),
        ("user:eve", False, False),
        ("user:ADA", False, False),
        ("team:team", False, True),
        ("team:team/owner", False, True),
        ("team:team/admin", False, False),
        ("team:other", False, False),
        ("", False, False),
    ],
)
def test_each_role(role: str, guest: bool, member: bool) -> None:
    assert allows((role,), GUEST) is guest
    assert allows((role,), MEMBER) is member
    assert allows((role,), KEY)
    assert allows((role,), ADMIN)


def test_an_empty_list_is_for_servers_alone() -> None:
    assert not allows((), GUEST)
    assert not allows((), MEMBER)
    assert allows((), KEY)
    assert allows((), ADMIN)


def test_self_stands_for_the_resource() -> None:
    assert allows(("user:{self}",), MEMBER, "ada")
    assert not allows(("user:{self}",), MEMBER, "eve")
    assert not allows(("user:{self}",), MEMBER)
    assert allows(("team:{self}/owner",), MEMBER, "team")


def test_reading_and_writing_are_told_apart() -> None:
    permissions = Permissions(read=("*",), write=("user:ada",))
    assert can_read(permissions, GUEST)
    assert not can_write(permissions, GUEST)
    assert can_write(permissions, MEMBER)


@given(st.lists(ROLES), st.lists(ROLES))
def test_a_longer_list_never_takes_access_away(one: list[str], more: list[str]) -> None:
    if allows(tuple(one), MEMBER, "x"):
        assert allows((*one, *more), MEMBER, "x")


@given(st.lists(ROLES))
def test_access_is_given_by_one_role_alone(listed: list[str]) -> None:
    assert allows(tuple(listed), MEMBER, "x") == any(allows((role,), MEMBER, "x") for role in listed)


def test_who_is_acting() -> None:
    assert (GUEST.user_id, MEMBER.user_id, KEY.user_id, ADMIN.user_id) == ("", "ada", "", "admin-root")
    assert (GUEST.own_role, MEMBER.own_role, KEY.own_role, ADMIN.own_role) == (
        (),
        ("user:ada",),
        (),
        ("user:admin-root",),
    )
    assert [actor.is_server for actor in (GUEST, MEMBER, KEY, ADMIN)] == [False, False, True, True]
    assert GUEST.roles == GUEST_ROLES == {"*", "role:guest"}
