"""Our own OpenAPI description against the published 0.11 operations."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from litewrite.app import openapi_document

TOOL = Path(__file__).parents[3] / "shared" / "tools" / "spec_coverage.py"

pytestmark = pytest.mark.skipif(not TOOL.exists(), reason="the published operations are not beside this checkout")


def missing(side: str, tag: str, tmp_path: Path) -> list[str]:
    """What the tool finds missing or different, a line each."""
    description = tmp_path / "openapi.json"
    description.write_text(json.dumps(openapi_document()))
    answer = subprocess.run(
        [sys.executable, str(TOOL), "--side", side, "--tag", tag, str(description)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return answer.stdout.splitlines()[:-1]


@pytest.mark.parametrize(("side", "tag"), [("client", "database"), ("server", "database"), ("server", "health")])
def test_services_that_are_whole(side: str, tag: str, tmp_path: Path) -> None:
    assert missing(side, tag, tmp_path) == []


@pytest.mark.parametrize("side", ["client", "server"])
def test_functions(side: str, tmp_path: Path) -> None:
    assert missing(side, "functions", tmp_path) == []


@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize("tag", ["avatars", "storage"])
def test_files_and_pictures(side: str, tag: str, tmp_path: Path) -> None:
    assert missing(side, tag, tmp_path) == []


def test_account_lacks_only_what_needs_mail_or_a_provider(tmp_path: Path) -> None:
    later = ("/account/recovery", "/account/verification", "/account/sessions/magic-url", "/account/sessions/oauth2/")
    assert [line for line in missing("client", "account", tmp_path) if not any(path in line for path in later)] == []


def test_projects_lack_only_tasks_domains_and_usage(tmp_path: Path) -> None:
    lines = missing("console", "projects", tmp_path)
    assert [line for line in lines if not any(path in line for path in ("/tasks", "/domains", "/usage"))] == []
