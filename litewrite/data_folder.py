"""The folder with everything a server keeps: placeholder until the lock is written."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from litewrite.config import Config, new_server_secret
from litewrite.security import ServerSecret


class DataFolder:
    def __init__(self, config: Config) -> None:
        self.path = Path(config.data_dir)

    async def __aenter__(self) -> Self:
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self.path / "secret"
        if not file.exists():
            file.write_text(new_server_secret())
        self.secret = ServerSecret(file.read_text().encode())
        return self

    async def __aexit__(self, *error: object) -> None:
        pass
