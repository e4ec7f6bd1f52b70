"""URLs that clients hand in to be opened later by a browser: where mails link to and where logins return to."""

from __future__ import annotations

from urllib.parse import urlsplit

from litewrite.api.context import Context
from litewrite.api.origins import is_client_host, own_hosts
from litewrite.errors import ArgumentInvalid


def check_client_url(ctx: Context, name: str, value: str) -> str:
    """The URL when it points to a page or app that the project knows. Raises `ArgumentInvalid` naming the parameter.

    A host is that of a web platform, `localhost`, or this server; a scheme other than http and https must be that of a
    declared app platform. The form of the URL is checked by its validator before.
    """
    parts = urlsplit(value)
    host = (parts.hostname or "").rstrip(".")
    view, caller = ctx.view, ctx.caller
    if caller is not None and parts.scheme in ("http", "https"):
        if is_client_host(host, view, caller) or host in own_hosts(caller):
            return value
    elif view is not None:
        declared = {host, parts.scheme, f"{parts.scheme}://{parts.netloc}", f"{parts.scheme}://"}
        if not declared.isdisjoint(view.app_hosts):
            return value
    raise ArgumentInvalid(name, f"its host {host[:100]!r} is no platform of the project: add it as one first")
