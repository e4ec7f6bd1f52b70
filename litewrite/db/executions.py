"""Placeholder."""


class ExecutionStore:
    pass
