"""Placeholder."""


class DeploymentStore:
    pass
