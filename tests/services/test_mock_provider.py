"""The fake provider: the contract's fixed person, and the same choice always the same person."""

from __future__ import annotations

import pytest

from litewrite.errors import ProviderFailed
from litewrite.oauth.profile import Profile
from litewrite.services import mock_provider as mock


def test_without_a_choice_everything_is_fixed() -> None:
    assert mock.code_of(mock.DEFAULT) == "abcdef"
    assert mock.token_of("1", "123456", "abcdef") == "123456"
    assert mock.profile_of(mock.person_behind("123456")) == Profile("1", "User Name", "user@localhost.test", True)


def test_a_choice_goes_through_code_and_token() -> None:
    person = mock.person_of(email="Grace.Hopper@example.com", verified=False)
    assert (person.name, person.email, person.verified) == ("Grace Hopper", "grace.hopper@example.com", False)
    assert person == mock.person_of(email="grace.hopper@example.com", verified=False)
    assert person.uid != mock.person_of(email="grace@example.org").uid
    code = mock.code_of(person)
    assert len(code) < 1_024
    assert mock.person_behind(mock.token_of("1", "123456", code)) == person


@pytest.mark.parametrize("known", mock.EXAMPLES)
def test_the_page_offers_people_who_stay_themselves(known: mock.Person) -> None:
    assert mock.person_of(email=known.email, name=known.name, uid=known.uid, verified=known.verified) == known
    assert mock.person_behind(mock.token_of("1", "123456", mock.code_of(known))) == known


@pytest.mark.parametrize("typed", [{}, {"email": "ada"}, {"email": "a@localhost"}, {"uid": "x" * 300}, {"uid": "\x00"}])
def test_what_no_provider_would_tell(typed: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        mock.person_of(**typed)


@pytest.mark.parametrize(
    ("app_id", "secret", "code"),
    [
        ("2", "123456", "abcdef"),
        ("1", "654321", "abcdef"),
        ("1", "123456", "abcde"),
        ("1", "123456", "abcdef.!"),
        ("1", "123456", "abcdef.W10"),
        ("1", "123456", "other.WyIyIiwiQSIsIiIsdHJ1ZV0"),
    ],
)
def test_other_credentials_and_codes_are_refused(app_id: str, secret: str, code: str) -> None:
    with pytest.raises(ProviderFailed):
        mock.token_of(app_id, secret, code)


@pytest.mark.parametrize("token", ["", "654321", "123456.", "abcdef", "123456.WyIiLCIiLCIiLHRydWVd"])
def test_other_tokens_are_refused(token: str) -> None:
    with pytest.raises(ProviderFailed):
        mock.person_behind(token)
