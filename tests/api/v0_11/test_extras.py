"""What is answered without project and credentials, under the root and under `/v1`."""

from __future__ import annotations

import pytest

from tests.conftest import Answer, Client, World

PLACES = ("", "/v1")


async def fetch(world: World, path: str, **headers: str) -> Answer:
    return await Client(world.http, world.server.url, headers).get(path)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("path", "lines"),
    [("/robots.txt", {"# robotstxt.org/", "User-agent: *"}), ("/humans.txt", {"# humanstxt.org/"})],
)
async def test_texts(world: World, place: str, path: str, lines: set[str]) -> None:
    answer = await fetch(world, place + path)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; charset=UTF-8"
    assert lines <= set(answer.raw.decode().splitlines())


@pytest.mark.parametrize("place", PLACES)
async def test_versions(world: World, place: str) -> None:
    answer = await fetch(world, f"{place}/versions")
    assert answer.status == 200
    assert all(isinstance(version, str) for version in answer.body.values())
    assert answer["server"] == "0.11.2"
    assert (answer["client-web"], answer["server-python"], answer["server-swift"]) == ("4.0.4", "0.5.1", "0.1.0")
    assert len(answer.body) == 15


@pytest.mark.parametrize("place", PLACES)
async def test_manifest(world: World, place: str) -> None:
    answer = await fetch(world, f"{place}/manifest.json")
    assert answer.status == 200
    assert (answer["name"], answer["url"], answer["icons"]) == ("litewrite", world.server.url, [])
    assert {"short_name", "start_url", "display", "background_color", "theme_color", "description"} <= set(answer.body)


async def test_credentials_do_not_matter(world: World) -> None:
    key, user = await world.key("files.read"), await world.sign_up()
    for caller in (world.guest, key, user):
        assert (await fetch(world, "/versions", **caller.headers)).status == 200


@pytest.mark.parametrize("path", ["/robots.txt/x", "/v1/v1/versions", "/.well-known/acme-challenge/x", "/v1/graphql"])
async def test_nothing_beside_them(world: World, path: str) -> None:
    assert (await fetch(world, path)).status == 404
