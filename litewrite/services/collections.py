"""Placeholder."""


class Collections:
    def __init__(self, db):
        self._db = db
