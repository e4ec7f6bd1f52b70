"""Placeholder."""


class OutboxStore:
    pass
