"""Placeholder."""


class Documents:
    def __init__(self, db):
        self._db = db
