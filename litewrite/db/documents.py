"""Placeholder."""


class DocumentStore:
    pass
