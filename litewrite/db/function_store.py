"""Placeholder."""


class FunctionStore:
    pass
