from __future__ import annotations

import sys

import pytest

from litewrite.countries import UNKNOWN, Countries

PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.0.1",
    "100.64.0.1",
    "192.0.2.1",
    "0.0.0.0",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1%eth0",
    "fd00::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
]
MALFORMED = ["", "localhost", "1.2.3", "1.2.3.4.5", "300.1.1.1", "1.2.3.4:80", "[::1]", "%", "8.8.8.8\n", "８.8.8.8"]


@pytest.mark.parametrize("ip", PRIVATE + MALFORMED)
def test_private_and_malformed_addresses_are_nowhere(ip: str) -> None:
    assert Countries().code(ip) == UNKNOWN


@pytest.mark.parametrize(
    ("ip", "code"),
    [
        ("8.8.8.8", "us"),
        ("193.0.6.139", "nl"),
        ("133.11.0.1", "jp"),
        ("200.160.2.3", "br"),
        ("2001:4860:4860::8888", "us"),
        ("2001:4860:4860::8888%eth0", "us"),
        ("::ffff:8.8.8.8", "us"),
    ],
)
def test_public_addresses_have_a_country(ip: str, code: str) -> None:
    pytest.importorskip("iptocc")
    assert Countries().code(ip) == code


@pytest.mark.parametrize("region", ["EU", "AP", "ZZ", None])
def test_regions_are_no_countries(region: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    countries = Countries()
    monkeypatch.setattr(Countries, "_find", staticmethod(lambda ip: region))
    assert countries.code("8.8.8.8") == UNKNOWN


def test_without_the_library_everything_is_unknown(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "iptocc", None)
    countries = Countries()
    assert [countries.code("8.8.8.8"), countries.code("8.8.4.4")] == [UNKNOWN, UNKNOWN]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
