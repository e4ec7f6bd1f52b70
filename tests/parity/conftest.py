from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parity.serving import ServerProcess


@pytest.fixture
def process(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path / "data") as server:
        yield server
