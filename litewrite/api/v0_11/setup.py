"""The page on which the first administrator signs up, with the token behind `#` in the link that the server prints.

A browser sends nothing of what is behind `#`, so the token is in no log of a proxy. Everything in the page is fixed.
"""

from __future__ import annotations

import base64
import hashlib

from aiohttp import web

from litewrite.api.context import Context
from litewrite.api.v0_11.scopes import PUBLIC
from litewrite.http.endpoint import Routes

routes = Routes()

SETUP_TOKEN = "X-Litewrite-Setup-Token"
"""Header of the first sign-up to the console."""

_STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:24rem;margin:4rem auto;padding:0 1rem;color:#222;background:#fff}"
    "label{display:block;margin:1rem 0}input{font:inherit;width:100%;box-sizing:border-box;padding:.4rem}"
    "button{font:inherit;padding:.4rem 1rem}"
)

_SCRIPT = f"""
const form = document.getElementById('form'), state = document.getElementById('state');
const base = location.pathname.replace(/(\\/v1)?\\/auth\\/setup\\/?$/, '');
form.addEventListener('submit', async event => {{
  event.preventDefault();
  form.button.disabled = true;
  try {{
    const answer = await fetch(base + '/v1/account', {{
      method: 'POST',
      headers: {{
        'Content-Type': 'application/json',
        'X-Appwrite-Project': 'console',
        '{SETUP_TOKEN}': location.hash.slice(1)
      }},
      body: JSON.stringify({{email: form.email.value, password: form.password.value, name: form.person.value}})
    }});
    if (answer.ok) {{
      form.hidden = true;
      history.replaceState(null, '', location.pathname);
      state.textContent = 'You are the administrator now.';
    }} else {{
      state.textContent = (await answer.json()).message;
    }}
  }} catch (error) {{
    state.textContent = 'The server cannot be reached.';
  }}
  form.button.disabled = false;
}});
"""

_PAGE = f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>First administrator</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>First administrator</h1>
<p id="state" role="status">Whoever signs up here administers every project of this server.</p>
<form id="form">
<label>Name <input name="person" maxlength="128" autocomplete="name"></label>
<label>E-mail address <input name="email" type="email" required autocomplete="username"></label>
<label>Password, 6 to 32 characters
<input name="password" type="password" required minlength="6" maxlength="32" autocomplete="new-password"></label>
<button name="button">Sign up</button>
</form>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src {_hash(_STYLE)}; script-src {_hash(_SCRIPT)}; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Frame-Options": "DENY",
}


@routes.get("/auth/setup", name="pages.setup", summary="Sign up the first administrator", scope=PUBLIC)
async def setup(ctx: Context) -> web.Response:
    """A form that signs the first administrator up."""
    return web.Response(text=_PAGE, content_type="text/html", charset="UTF-8", headers=_HEADERS)
