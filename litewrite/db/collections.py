"""Placeholder."""


class CollectionStore:
    pass
