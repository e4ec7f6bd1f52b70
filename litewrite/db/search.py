"""Placeholder."""


class SearchIndex:
    pass
