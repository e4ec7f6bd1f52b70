"""Mails: the texts of every language, and that nothing a user chooses becomes a header, a line or markup."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litewrite.mail import KINDS, LONGEST_NAME, Mail, clean, compose, render
from litewrite.reference import Reference, data_folder

REFERENCE = Reference()
LANGUAGES = sorted(file.stem for file in (data_folder() / "mail").glob("*.json"))
SECRET = "0123456789abcdef" * 16
LINK = f"http://localhost:5000/join?a=1&userId=61d5c1a2b3c4d&secret={SECRET}&expire=1641425433#title"
INVITATION = {"owner": "Grace", "team": "Compilers"}
SLOT = re.compile(r"\{(\w*)\}")
EVIL = 'Eve\r\nBcc: all@example.com\r\n\r\n<script>alert("1")</script>'


def make(kind: str = "recovery", locale: str = "en", **changed: Any) -> Mail:
    language, texts = REFERENCE.mail_texts(locale)
    arguments: dict[str, Any] = {
        "locale": language,
        "direction": REFERENCE.direction(language),
        "project": "Notes",
        "to": "ada@example.com",
        "to_name": "Ada",
        "link": LINK,
        "variables": INVITATION if kind == "invitation" else {},
    }
    return compose(kind, texts, **(arguments | changed))


def wire(mail: Mail, sender: str = "noreply@example.com") -> bytes:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    return render(mail, sender=sender, message_id="61d5c1a2b3c4d.default@example.com", sent_at=moment).as_bytes()


def parse(raw: bytes) -> EmailMessage:
    message = message_from_bytes(raw, policy=default)
    assert isinstance(message, EmailMessage)
    assert message.defects == []
    return message


def parts(message: EmailMessage) -> tuple[str, str]:
    text, html = message.iter_parts()
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    return text.get_content(), html.get_content()


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        ("verification", "Account Verification"),
        ("recovery", "Password Reset"),
        ("magic-link", "Login"),
        ("invitation", "Invitation to Compilers Team at Notes"),
    ],
)
def test_subjects_in_english(kind: str, subject: str) -> None:
    assert make(kind).subject == subject


def test_a_mail_on_the_wire() -> None:
    message = parse(wire(make()))
    assert message["Subject"] == "Password Reset"
    (sender,) = message["From"].addresses
    (recipient,) = message["To"].addresses
    assert (sender.display_name, sender.addr_spec) == ("Notes Team", "noreply@example.com")
    assert (recipient.display_name, recipient.addr_spec) == ("Ada", "ada@example.com")
    assert message["Message-ID"] == "<61d5c1a2b3c4d.default@example.com>"
    assert message["Date"].datetime == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert message["Content-Language"] == "en"
    assert message.get_content_type() == "multipart/alternative"
    text, html = parts(message)
    assert LINK in text.split("\r\n" if "\r\n" in text else "\n")
    assert "Hello Ada," in text
    assert "Notes team" in text
    assert LINK.replace("&", "&amp;") in html
    assert LINK not in html
    assert '<html lang="en" dir="ltr">' in html


def test_the_link_is_whole_in_the_message_as_it_is_sent() -> None:
    assert LINK.encode() in wire(make())


@pytest.mark.parametrize("length", [500, 990, 2_000, 8_000])
def test_long_links_stay_whole(length: int) -> None:
    link = "https://example.com/" + "x" * length + f"?userId=1&secret={SECRET}"
    raw = wire(make(link=link))
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    text, html = parts(parse(raw))
    assert link in text.splitlines()
    assert link.replace("&", "&amp;") in html


def test_no_name() -> None:
    mail = make("magic-link", to_name="")
    assert mail.text.startswith("Hello,\n")
    (recipient,) = parse(wire(mail))["To"].addresses
    assert (recipient.display_name, recipient.addr_spec) == ("", "ada@example.com")


@pytest.mark.parametrize("address", ["ada@[127.0.0.1]", "ada@[ipv6:::1]", "a!#$%&'*+/=?^_`{|}~-b@example.com"])
def test_odd_addresses(address: str) -> None:
    (recipient,) = parse(wire(make(to=address)))["To"].addresses
    assert recipient.addr_spec == address


def test_nothing_is_injected() -> None:
    mail = make("invitation", project=EVIL, to_name=EVIL, variables={"owner": EVIL, "team": EVIL})
    raw = wire(mail)
    message = parse(raw)
    assert "Bcc" not in message
    assert len(message["To"].addresses) == 1
    assert len(message["From"].addresses) == 1
    text, html = parts(message)
    assert not any(line.startswith("Bcc") for line in text.splitlines())
    assert "<script" not in html
    assert "&lt;script&gt;" in html


@given(name=st.text(max_size=200), kind=st.sampled_from(KINDS), locale=st.sampled_from(("en", "de", "ar", "ja")))
def test_any_name(name: str, kind: str, locale: str) -> None:
    mail = make(kind, locale, project=name, to_name=name, variables={"owner": name, "team": name})
    raw = wire(mail)
    message = parse(raw)
    assert sorted(message.keys()) == sorted(
        (
            "From",
            "To",
            "Subject",
            "Date",
            "Message-ID",
            "Content-Language",
            "Auto-Submitted",
            "MIME-Version",
            "Content-Type",
        )
    )
    (recipient,) = message["To"].addresses
    assert recipient.addr_spec == "ada@example.com"
    text, html = parts(message)
    assert LINK in text.splitlines()
    plain = make(kind, locale, variables={"owner": "x", "team": "x"})
    assert len(mail.text.split("\n")) == len(plain.text.split("\n"))
    assert html.count("<") == plain.html.count("<")
    assert Mail.load(mail.dump()) == mail


@given(st.text(max_size=600))
def test_a_cleaned_name_is_one_line(name: str) -> None:
    cleaned = clean(name)
    assert len(cleaned) <= LONGEST_NAME
    assert len(cleaned.splitlines()) <= 1
    assert cleaned == cleaned.strip()
    assert clean(cleaned) == cleaned


def test_names_keep_what_they_may() -> None:
    assert clean("Zoë  O'Neill\t") == "Zoë O'Neill"
    assert clean("李小龍 👩‍💻") == "李小龍 👩‍💻"
    assert clean("a\u202eb\x00c\nd\x85e\u2028f") == "ab c d e f"
    assert clean("x" * 500) == "x" * LONGEST_NAME
    assert clean("\ud800") == ""


def test_names_are_not_filled_twice() -> None:
    assert make(to_name="{project} {nothing}").text.startswith("Hello {project} {nothing},")


def test_english_is_complete() -> None:
    _, texts = REFERENCE.mail_texts("en")
    assert set(texts) == {"hello", "hello_nameless", "thanks", "signature", *KINDS}
    for kind in KINDS:
        assert set(texts[kind]) == {"subject", "body", "footer"}


@pytest.mark.parametrize("locale", LANGUAGES)
def test_every_language_says_the_same(locale: str) -> None:
    assert locale in REFERENCE.locales
    english = json.loads((data_folder() / "mail" / "en.json").read_bytes())
    texts = json.loads((data_folder() / "mail" / f"{locale}.json").read_bytes())

    def check(ours: Any, theirs: Any, path: str) -> None:
        assert set(ours) == set(theirs), path
        for key, text in ours.items():
            if isinstance(text, dict):
                check(text, theirs[key], f"{path}/{key}")
                continue
            assert text == text.strip(), f"{path}/{key}"
            assert text.isprintable() or "\u200c" in text, f"{path}/{key}"
            assert set(SLOT.findall(text)) == set(SLOT.findall(theirs[key])), f"{path}/{key}"
            assert locale == "en" or key == "signature" or text != theirs[key] or key in NEAR, f"{path}/{key}"

    check(texts, english, locale)
    for kind in KINDS:
        mail = make(kind, locale)
        assert mail.locale == locale
        assert LINK in mail.text.split("\n")
        assert "Notes" in mail.text
        assert f'dir="{REFERENCE.direction(locale)}"' in mail.html


NEAR = {"subject", "thanks"}
"""Words that another language may share with English."""


@pytest.mark.parametrize(
    ("locale", "language"), [("de", "de"), ("sa", "en"), ("xx", "en"), ("../locale", "en"), ("no", "no")]
)
def test_a_language_without_texts_gets_english(locale: str, language: str) -> None:
    found, texts = Reference().mail_texts(locale)
    assert found == language
    assert set(texts) > set(KINDS)


def test_direction() -> None:
    assert [REFERENCE.direction(locale) for locale in ("en", "ar", "he", "fa", "de", "xx")] == [
        "ltr",
        "rtl",
        "rtl",
        "rtl",
        "ltr",
        "ltr",
    ]
    assert 'dir="rtl"' in make(locale="ar").html
