"""Placeholder."""

from litewrite.http.endpoint import Routes

routes = Routes()
