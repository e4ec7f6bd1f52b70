"""Logins at other providers (OAuth 2): the table of providers, what is asked of them, and the requests to them.

Knows no project, no user and no request of ours; which user a person at a provider is, services decide.
"""
