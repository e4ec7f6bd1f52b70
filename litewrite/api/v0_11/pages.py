"""Small pages that finish logins of native apps, and magic links for which an app names no page of its own.

They show nothing but fixed words. What comes with the query goes into one link to the app, escaped, and the scripts are
fixed texts that the policy names by their hash.
"""

from __future__ import annotations

import base64
import hashlib
import html

from aiohttp import web

from litewrite.api.context import Context
from litewrite.api.v0_11.scopes import PUBLIC
from litewrite.entities import PROJECT_ID
from litewrite.http.endpoint import Routes

routes = Routes()

_STYLE = "body{font:16px/1.5 sans-serif;max-width:32rem;margin:4rem auto;padding:0 1rem;color:#222;background:#fff}"

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
<p id="state">{text}</p>
<p><a id="app" href="{link}"{hidden}>Open the app</a></p>
<script>{script}</script>
</body>
</html>
"""

_NO_PROJECT = "This link does not say which project it belongs to."
_STAYED = (
    "Missing redirect URL: nothing on this device opens the link to the app. An app names the page to return to with "
    "the parameters success and failure, or registers the scheme of its callback."
)

_REDIRECT = "location.replace(document.getElementById('app').href);"

_LOG_IN = """
(async () => {
  const state = document.getElementById('state'), app = document.getElementById('app');
  const query = new URLSearchParams(location.search), form = new FormData();
  form.append('userId', query.get('userId') || '');
  form.append('secret', query.get('secret') || '');
  const base = location.pathname.replace(/(\\/v1)?\\/auth\\/magic-url\\/?$/, '');
  try {
    const answer = await fetch(base + '/v1/account/sessions/magic-url', {
      method: 'PUT', body: form, headers: {'x-appwrite-project': query.get('project')}
    });
    if (answer.ok) {
      state.textContent = 'You are logged in. If the app does not open by itself, use the link below.';
      app.hidden = false;
      location.replace(app.href);
    } else {
      state.textContent = (await answer.json()).message;
    }
  } catch (error) {
    state.textContent = 'The server cannot be reached. Open the link from the mail once more.';
  }
})();
"""


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _page(ctx: Context, title: str, text: str, script: str, *, hidden: bool = False) -> web.Response:
    query = ctx.request.rel_url.raw_query_string
    project = ctx.given.get("project")
    if not isinstance(project, str) or not PROJECT_ID.fullmatch(project):
        text, script, link, hidden = _NO_PROJECT, "", "", True
    else:
        link = f"appwrite-callback-{project}://" + (f"?{query}" if query else "")
    body = _PAGE.format(
        title=title,
        style=_STYLE,
        text=html.escape(text),
        link=html.escape(link),
        hidden=" hidden" if hidden else "",
        script=script,
    )
    headers = {
        "Content-Security-Policy": (
            f"default-src 'none'; style-src {_hash(_STYLE)}; script-src {_hash(script)}; connect-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "Referrer-Policy": "no-referrer",  # the query holds a secret
        "Cache-Control": "no-store",
        "X-Frame-Options": "DENY",
    }
    return web.Response(text=body, content_type="text/html", charset="UTF-8", headers=headers)


@routes.get("/auth/magic-url", name="pages.magicUrl", summary="Log in by a magic link", scope=PUBLIC)
async def magic_url(ctx: Context) -> web.Response:
    """Finish a login with the user id, secret and project of the query, then open the app."""
    return _page(ctx, "Login", "Logging in …", _LOG_IN, hidden=True)


@routes.get("/auth/oauth2/success", name="pages.oauth2Success", summary="Return to an app", scope=PUBLIC)
async def oauth2_success(ctx: Context) -> web.Response:
    """Hand the query on to the app of its project."""
    return _page(ctx, "Logged in", _STAYED, _REDIRECT)


@routes.get("/auth/oauth2/failure", name="pages.oauth2Failure", summary="Return to an app", scope=PUBLIC)
async def oauth2_failure(ctx: Context) -> web.Response:
    """Hand the query on to the app of its project."""
    return _page(ctx, "Login failed", _STAYED, _REDIRECT)
