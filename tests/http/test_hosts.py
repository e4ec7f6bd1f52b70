"""Under which names the server answers, and who is calling behind a proxy."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from litewrite.errors import HostUnknown
from litewrite.http.hosts import Caller, HostPolicy, is_ip, split_host
from litewrite.http.sites import Sites


def request(peer: Any = ("127.0.0.1", 5000), **headers: str | list[str]) -> Any:
    values: CIMultiDict[str] = CIMultiDict()
    for name, value in headers.items():
        for each in [value] if isinstance(value, str) else value:
            values.add(name.replace("_", "-"), each)
    transport = mock.Mock()
    transport.get_extra_info = lambda key, default=None: peer if key == "peername" else default
    return make_mocked_request("GET", "/", headers=values, transport=transport)


@pytest.mark.parametrize(
    ("netloc", "host"),
    [
        ("localhost", "localhost"),
        ("LocalHost:8700", "localhost"),
        ("localhost.", "localhost"),
        ("a.b-c.example:1", "a.b-c.example"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("[::1]", "::1"),
        ("[::1]:80", "::1"),
        ("[FE80::1]", "fe80::1"),
        ("_dmarc.example", "_dmarc.example"),
        ("", ""),
        (":80", ""),
        ("::1", ""),
        ("localhost:", ""),
        ("localhost:x", ""),
        ("localhost:99999", ""),
        ("localhost:80:80", ""),
        ("evil.example@localhost", ""),
        ("localhost@evil.example", ""),
        ("localhost/", ""),
        ("localhost/@evil.example", ""),
        ("localhost#", ""),
        ("localhost?x", ""),
        ("localhost\\evil", ""),
        ("local host", ""),
        ("localhost\n", ""),
        ("a..b", ""),
        (".localhost", ""),
        ("[::1", ""),
        ("[::1]x", ""),
        ("[fe80::1%25eth0]", ""),
        ("münchen.example", ""),
        ("\udcff", ""),
    ],
)
def test_splitting_a_host(netloc: str, host: str) -> None:
    assert split_host(netloc) == host


@given(st.text())
def test_what_passes_is_a_plain_host_and_port(netloc: str) -> None:
    host = split_host(netloc)
    if host:
        assert not set(netloc) & set("/\\@?# \r\n\t")
        assert netloc.lower().startswith(host) or netloc.lower().startswith(f"[{host}]")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1.2.3.4", True), ("::1", True), ("fe80::1%eth0", True), ("1.2.3", False), ("a", False), ("", False)],
)
def test_addresses(text: str, expected: bool) -> None:
    assert is_ip(text) is expected


class TestNames:
    policy = HostPolicy(public_url="https://Api.example.com/base", allowed=("My.example.org", "intranet:8080"))

    @pytest.mark.parametrize(
        "host",
        [
            "localhost",
            "localhost:8700",
            "app.localhost",
            "127.0.0.1:8700",
            "192.168.0.9",
            "[::1]:8700",
            "api.example.com",
            "API.EXAMPLE.COM:443",
            "my.example.org",
            "my.example.org.",
            "intranet",
        ],
    )
    def test_answered(self, host: str) -> None:
        assert self.policy.caller(request(Host=host)).netloc == host

    @pytest.mark.parametrize(
        "host",
        [
            "evil.example",
            "example.com",
            "x.api.example.com",
            "localhost.evil.example",
            "notlocalhost",
            "127.0.0.1.evil.example",
            "2130706433",
            "0x7f.1",
            "[::::]",
            "evil.example@localhost",
            "",
        ],
    )
    def test_refused(self, host: str) -> None:
        with pytest.raises(HostUnknown):
            self.policy.caller(request(Host=host))
        with pytest.raises(HostUnknown):
            self.policy.caller(request(Host=host))

    def test_the_last_of_several_counts(self) -> None:
        assert self.policy.caller(request(Host=["evil.example", "localhost"])).host == "localhost"
        with pytest.raises(HostUnknown):
            self.policy.caller(request(Host=["localhost", "evil.example"]))

    def test_without_one_it_is_localhost(self) -> None:
        assert self.policy.caller(request()).host == "localhost"

    def test_many_names_are_answered_however_many_were_seen(self) -> None:
        for number in range(1_200):
            assert self.policy.caller(request(Host=f"h{number}.localhost")).host == f"h{number}.localhost"

    @pytest.mark.parametrize("name", ["", "a b", "https://example.com", "*.example.com"])
    def test_a_bad_allowed_host_is_refused(self, name: str) -> None:
        with pytest.raises(ValueError, match="allowed host"):
            HostPolicy(allowed=(name,))

    def test_a_bad_proxy_is_refused(self) -> None:
        with pytest.raises(ValueError):
            HostPolicy(trusted_proxies=("example.com",))


class TestProxies:
    trusting = HostPolicy(allowed=("app.example",), trusted_proxies=("10.0.0.0/8", "::1"))

    def test_forwarded_headers_of_strangers_do_not_count(self) -> None:
        caller = self.trusting.caller(
            request(
                ("192.0.2.1", 1),
                Host="localhost:8700",
                X_Forwarded_For="1.1.1.1",
                X_Forwarded_Proto="https",
                X_Forwarded_Host="app.example",
            )
        )
        assert caller == Caller("192.0.2.1", "http", "localhost", "localhost:8700")
        assert caller.base_url == "http://localhost:8700"

    def test_those_of_a_trusted_proxy_do(self) -> None:
        caller = self.trusting.caller(
            request(
                ("10.1.2.3", 1),
                Host="localhost:8700",
                X_Forwarded_For="1.1.1.1",
                X_Forwarded_Proto="HTTPS",
                X_Forwarded_Host="app.example:444",
            )
        )
        assert caller == Caller("1.1.1.1", "https", "app.example", "app.example:444")
        assert caller.base_url == "https://app.example:444"

    @pytest.mark.parametrize(
        ("forwarded", "ip"),
        [
            ("6.6.6.6, 1.1.1.1", "1.1.1.1"),
            ("6.6.6.6, 1.1.1.1, 10.9.9.9", "1.1.1.1"),
            ("10.8.8.8, 10.9.9.9", "10.8.8.8"),
            ("6.6.6.6,", "10.1.2.3"),
            ("6.6.6.6, unknown", "10.1.2.3"),
            ("6.6.6.6, unknown, 10.9.9.9", "10.9.9.9"),
            ("", "10.1.2.3"),
            ("2001:db8::7", "2001:db8::7"),
            (["6.6.6.6", "1.1.1.1"], "1.1.1.1"),
        ],
    )
    def test_the_client_is_the_rightmost_that_is_no_trusted_proxy(self, forwarded: Any, ip: str) -> None:
        assert self.trusting.caller(request(("10.1.2.3", 1), X_Forwarded_For=forwarded)).ip == ip

    def test_a_forwarded_host_is_checked_too(self) -> None:
        with pytest.raises(HostUnknown):
            self.trusting.caller(request(("10.1.2.3", 1), Host="localhost", X_Forwarded_Host="evil.example"))

    @pytest.mark.parametrize("protocol", ["ftp", "javascript", ""])
    def test_another_protocol_is_ignored(self, protocol: str) -> None:
        assert self.trusting.caller(request(("10.1.2.3", 1), X_Forwarded_Proto=protocol)).protocol == "http"

    def test_an_address_in_its_longer_form_is_the_same_proxy(self) -> None:
        assert self.trusting.caller(request(("::ffff:10.1.2.3", 1, 0, 0), X_Forwarded_For="1.1.1.1")).ip == "1.1.1.1"

    @pytest.mark.parametrize("peer", ["", None, "/run/socket"])
    def test_a_local_socket_is_this_machine(self, peer: Any) -> None:
        assert (
            HostPolicy(trusted_proxies=("127.0.0.1",)).caller(request(peer, X_Forwarded_For="1.1.1.1")).ip == "1.1.1.1"
        )


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("api.example.com", "app.example.com", True),
        ("example.com", "deep.app.example.com", True),
        ("a.example.co.uk", "b.example.co.uk", True),
        ("a.co.uk", "b.co.uk", False),
        ("one.github.io", "two.github.io", False),
        ("example.com", "example.org", False),
        ("intranet", "intranet", False),
        ("com", "com", False),
        ("", "", False),
    ],
)
async def test_sites(one: str, other: str, same: bool) -> None:
    assert await Sites().are_same(one, other) is same
