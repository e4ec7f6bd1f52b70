"""The pages that a person sees during a login at a provider: errors, and the choice at the mock provider.

They stand alone: no file, script or font is loaded from anywhere, and everything that came from outside is escaped.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import urlencode

from litewrite.services.mock_provider import Person

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:12vh auto;padding:0 1rem;"
    "color:CanvasText;background:Canvas;color-scheme:light dark}"
    "h1{font-size:1.4rem}a,button,input{font:inherit}li{margin:.4rem 0}"
    "label{display:block;margin:.6rem 0}input[type=text],input[type=email]{display:block;width:100%;"
    "box-sizing:border-box;padding:.4rem}code{overflow-wrap:anywhere}"
)

_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}
"""What every page is sent with: nothing is loaded or run but what stands here, and URLs with secrets stay here."""
HTML = "text/html; charset=UTF-8"


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{body}</body></html>"
    )


def error_page(status: int, body: Mapping[str, Any]) -> tuple[str, Mapping[str, str]]:
    """A failure for a person: status, message and identifier of an error body; and the headers to send."""
    message, kind = str(body.get("message", "")), str(body.get("type", ""))
    content = f"<h1>Error {status}</h1><p>{escape(message)}</p><p><code>{escape(kind)}</code></p>"
    return _page(f"Error {status}", content), HEADERS


def mock_page(path: str, fields: Sequence[tuple[str, str]], people: Iterable[Person], problem: str = "") -> str:
    """The page of the mock provider where one picks who one is, or types it. `fields` go along with every choice."""
    choices = "".join(
        f'<li><a href="{escape(f"{path}?{urlencode([*fields, *_chosen(person)])}")}">{escape(person.name)}</a> '
        f"{escape(person.email or 'without address')}{'' if person.verified else ', not verified'}</li>"
        for person in people
    )
    hidden = "".join(f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in fields)
    declined = escape(f"{path}?{urlencode([*fields, ('decline', '1')])}")
    told = f"<p><strong>{escape(problem)}</strong></p>" if problem else ""
    return _page(
        "Mock login",
        f"<h1>Mock login</h1><p>This provider checks nothing. Who are you?</p>{told}<ul>{choices}</ul>"
        f'<form action="{escape(path)}" method="get">{hidden}'
        '<label>E-mail address <input type="email" name="email" required></label>'
        '<label>Name <input type="text" name="name" maxlength="128"></label>'
        '<label><input type="checkbox" name="unverified" value="1"> the address is not verified</label>'
        '<button type="submit">Log in</button></form>'
        f'<p><a href="{declined}">Decline</a></p>',
    )


def _chosen(person: Person) -> list[tuple[str, str]]:
    chosen = [("id", person.uid), ("name", person.name), ("email", person.email)]
    return chosen if person.verified else [*chosen, ("unverified", "1")]
