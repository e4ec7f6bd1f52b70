"""The state of a login on its way: unreadable and unchangeable for others, of limited size and life."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litewrite.errors import ArgumentInvalid, LoginStateInvalid
from litewrite.security import ServerSecret
from litewrite.services.login_states import LoginState, LoginStates, is_browser

SECRET = ServerSecret(b"x" * 32)
STATES = LoginStates(SECRET)


def begin(success: str = "http://localhost/done", browser: str = "b" * 43) -> LoginState:
    return STATES.begin(
        project_id="default",
        provider="github",
        base="http://localhost:8700",
        success=success,
        failure="http://localhost/failed",
        scopes=("a", "b"),
        browser=browser,
    )


def test_what_was_sealed_comes_back() -> None:
    state = begin()
    text = STATES.seal(state)
    assert STATES.open(text) == state
    assert text.replace("-", "").replace("_", "").isalnum()
    assert begin().id != state.id
    assert state.expires_at - datetime.now(UTC) <= timedelta(minutes=10)


@given(st.text(max_size=300))
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(LoginStateInvalid):
        STATES.open(text)


@given(st.integers(min_value=0, max_value=500), st.sampled_from("ABab01-_"))
def test_every_character_counts(index: int, char: str) -> None:
    text = STATES.seal(begin())
    index %= len(text) - 1  # some bits of the last one are not used
    changed = text[:index] + char + text[index + 1 :]
    if changed != text:
        with pytest.raises(LoginStateInvalid):
            STATES.open(changed)


def test_what_was_encrypted_for_another_purpose_is_no_state() -> None:
    import base64

    for plain in ('["mail"]', "[]", "{}", "7", "", '["oauth2"]', '["oauth2",1,2,3,4,5,6,7,8,9,10]'):
        text = base64.urlsafe_b64encode(SECRET.encrypt(plain)).decode().rstrip("=")
        with pytest.raises(LoginStateInvalid):
            STATES.open(text)


def test_another_server_cannot_read_it() -> None:
    with pytest.raises(LoginStateInvalid):
        LoginStates(ServerSecret(b"y" * 32)).open(STATES.seal(begin()))


def test_it_expires() -> None:
    state = replace(begin(), expires_at=datetime.now(UTC).replace(microsecond=0))
    with pytest.raises(LoginStateInvalid, match="ten minutes"):
        STATES.open(STATES.seal(state))


def test_its_size() -> None:
    assert len(STATES.seal(begin("http://localhost/" + "x" * 1_000))) <= 2_048
    with pytest.raises(ArgumentInvalid) as refused:
        STATES.seal(begin("http://localhost/" + "x" * 1_500))
    assert refused.value.param == "success"


def test_the_verifier_is_not_in_it() -> None:
    state = begin()
    verifier = STATES.verifier(state)
    assert len(verifier) == 43
    assert verifier == STATES.verifier(STATES.open(STATES.seal(state)))
    assert verifier != STATES.verifier(begin())
    assert verifier not in repr(state)


def test_the_browser() -> None:
    assert is_browser(begin(browser="b" * 43), "b" * 43)
    assert not is_browser(begin(browser="b" * 43), "c" * 43)
    assert not is_browser(begin(browser="b" * 43), "")
    assert is_browser(begin(browser=""), "")
    assert "b" * 43 not in repr(begin(browser="b" * 43))
