"""Pillow and the QR library are loaded when the first picture is made, not when a server starts."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["litewrite.app", "litewrite.imaging.options", "litewrite.services.previews"])
def test_a_start_loads_no_pictures(module: str) -> None:
    code = f"import sys, {module}; print(sorted({{'PIL', 'qrcode'}} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
