"""Placeholder."""


class Functions:
    def __init__(self, db, blobs, secret):
        self._db = db
