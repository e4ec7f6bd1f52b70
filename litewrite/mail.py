"""Mails: what they say in each language, how they look on the wire, and handing them to a mail server.

The texts are facts of `data/`; here names and the link are put into them. Nothing a user chooses can become a header, a
line of its own or markup: control characters are taken out of names, headers are made by the standard library, and the
HTML part is escaped.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from email.message import EmailMessage

KINDS: Final = ("verification", "recovery", "magic-link", "invitation")
LONGEST_NAME: Final = 128
"""Characters of a name that a mail shows."""

_SLOT = re.compile(r"\{(\w+)\}")
_LONGEST_LINE: Final = 998
"""Octets of a line that every mail server takes."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to one recipient, ready to be shown or sent."""

    kind: str
    locale: str
    """The language it is written in."""
    sender_name: str
    to: str
    to_name: str
    """Empty when the recipient has no name."""
    subject: str
    text: str
    html: str
    link: str

    def dump(self) -> str:
        """The mail as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Mail:
        return cls(**json.loads(text))


def clean(text: str) -> str:
    """A name on one line: control characters and line breaks become blanks, and it ends after `LONGEST_NAME`.

    Marks that change the direction of what follows go as well, since they would make a link look like another one.
    """
    kept = "".join(
        " " if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") else character
        for character in text[: 4 * LONGEST_NAME]
        if character not in _DIRECTION_MARKS
    )
    return " ".join(kept.split())[:LONGEST_NAME].rstrip()


_DIRECTION_MARKS = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def compose(
    kind: str,
    texts: Mapping[str, Any],
    *,
    locale: str,
    direction: str,
    project: str,
    to: str,
    to_name: str,
    link: str,
    variables: Mapping[str, str],
) -> Mail:
    """Fill the texts of one kind of mail in one language.

    `project` is the name of the project, `direction` that of the writing (`ltr` or `rtl`); `variables` holds what else
    the texts of the kind name: `owner` and `team` for an invitation.
    """
    names = {key: clean(value) for key, value in variables.items()}
    names |= {"project": clean(project), "name": clean(to_name)}
    own = texts[kind]
    hello = texts["hello"] if names["name"] else texts["hello_nameless"]
    slots = (hello, own["body"], own["footer"], texts["thanks"], texts["signature"])
    lines = [_fill(slot, names) for slot in slots]
    return Mail(
        kind=kind,
        locale=locale,
        sender_name=_fill("{project} Team", names),
        to=to,
        to_name=names["name"],
        subject=_fill(own["subject"], names),
        text=_text(lines, link),
        html=_html(lines, link, title=_fill(own["subject"], names), locale=locale, direction=direction),
        link=link,
    )


def _fill(text: str, names: Mapping[str, str]) -> str:
    return _SLOT.sub(lambda slot: names[slot[1]], text)


def _text(lines: list[str], link: str) -> str:
    hello, body, footer, thanks, signature = lines
    return f"{hello}\n\n{body}\n\n{link}\n\n{footer}\n\n{thanks}\n{signature}\n"


_PAGE = """\
<!doctype html>
<html lang="{locale}" dir="{direction}">
<head><meta charset="utf-8"><title>{title}</title></head>
<body style="margin: 0; padding: 24px; font: 16px/1.5 sans-serif; color: #222; background: #fff">
<p>{hello}</p>
<p>{body}</p>
<p dir="ltr" style="overflow-wrap: anywhere"><a href="{link}">{link}</a></p>
<p>{footer}</p>
<p>{thanks}<br>{signature}</p>
</body>
</html>
"""


def _html(lines: list[str], link: str, *, title: str, locale: str, direction: str) -> str:
    hello, body, footer, thanks, signature = map(html.escape, lines)
    return _PAGE.format(
        locale=html.escape(locale),
        direction=html.escape(direction),
        title=html.escape(title),
        hello=hello,
        body=body,
        link=html.escape(link),
        footer=footer,
        thanks=thanks,
        signature=signature,
    )


def render(mail: Mail, *, sender: str, message_id: str, sent_at: datetime) -> EmailMessage:
    """A mail as it goes over the wire: `multipart/alternative` with a plain text and an HTML part.

    `sender` is an address; `message_id` is without angle brackets and has a host name behind its at sign.
    """
    from email.headerregistry import Address
    from email.message import EmailMessage
    from email.policy import SMTP

    message = EmailMessage(policy=SMTP)
    message["From"] = Address(mail.sender_name, *_split(sender))
    message["To"] = Address(mail.to_name, *_split(mail.to))
    message["Subject"] = mail.subject
    message["Date"] = sent_at
    message["Message-ID"] = f"<{message_id}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text, cte=_encoding(mail.text))
    message.add_alternative(mail.html, subtype="html", cte=_encoding(mail.html))
    message["Content-Language"] = mail.locale
    return message


def _split(address: str) -> tuple[str, str]:
    local, _, domain = address.rpartition("@")
    return local, domain


def _encoding(text: str) -> str:
    """Never one that breaks lines inside a link for those who read the message as it is."""
    is_plain = text.isascii() and all(len(line) <= _LONGEST_LINE for line in text.split("\n"))
    return "7bit" if is_plain else "base64"
