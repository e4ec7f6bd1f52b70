"""Which icon a page names."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litewrite.services.site_icons import find_icon, is_ico, is_page

PAGE = "https://example.com:8443/blog/post?x=1"
ROOT = "https://example.com:8443"


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("", "/favicon.ico"),
        ("<html>no icon</html>", "/favicon.ico"),
        ('<link rel="icon" href="/a.png">', "/a.png"),
        ("<link rel='shortcut icon' href='/a.ico'>", "/a.ico"),
        ("<LINK REL=Icon HREF=/a.jpg>", "/a.jpg"),
        ('<link href="/a.jpeg" rel=" SHORTCUT  ICON "/>', "/a.jpeg"),
        ('<link rel="icon" href="a.png">', "/blog/a.png"),
        ('<link rel="icon" href="../a.png?v=2#x">', "/a.png?v=2#x"),
        ('<link rel="icon" href="/A.PNG">', "/A.PNG"),
        ('<link rel="apple-touch-icon" href="/a.png"><link rel="mask-icon" href="/b.png">', "/favicon.ico"),
        ('<link rel="icon" href="/a.svg"><link rel="icon" href="/a.webp"><link rel=icon href=/a.gif>', "/favicon.ico"),
        ('<link rel="icon" href="/a.svg?x=.png">', "/favicon.ico"),
        ('<link rel="icon" href="">', "/favicon.ico"),
        ('<link rel="icon">', "/favicon.ico"),
        ('<link rel="icon" href="/a.png"><link rel="icon" href="/b.png">', "/b.png"),
        ('<link rel="icon" href="/a.png" sizes="32x32"><link rel="icon" href="/b.png">', "/a.png"),
        ('<link rel="icon" href="/a.png" sizes="any"><link rel="icon" href="/b.png" sizes="1x1">', "/b.png"),
        ('<link rel="icon" href="/a.png" sizes="16X16 64x64"><link rel=icon href="/b.png" sizes=32x32>', "/b.png"),
        ('<link rel="icon" href="/a.png" sizes="9x9"><link rel=icon href="/b.png" sizes=10x8>', "/a.png"),
        ('<base href="/static/"><link rel="icon" href="a.png">', "/static/a.png"),
        ('<base href="/one/"><base href="/two/"><link rel="icon" href="a.png">', "/one/a.png"),
        ('<link rel="icon" href="/a&amp;b.png">', "/a&b.png"),
        ('<!-- <link rel="icon" href="/a.png"> --><link rel="icon" href="/b.png">', "/b.png"),
        ('<!-- <link rel="icon" href="/a.png">', "/favicon.ico"),
        ('<script>"<link rel=icon href=/a.png>"</script><link rel=icon href=/b.png>', "/b.png"),
        ("<title><link rel=icon href=/a.png>", "/favicon.ico"),
        ("<body><link rel=icon href=/a.png>", "/favicon.ico"),
        ('<link data-x="a > b" rel="icon" href="/a.png">', "/a.png"),
        ('<link rel="icon" rel="x" href="/a.png" href="/b.png">', "/a.png"),
        ('<link rel="icon" href="http://[broken/a.png">', "/favicon.ico"),
    ],
)
def test_icons(page: str, expected: str) -> None:
    assert find_icon(page.encode(), PAGE) == ROOT + expected


def test_icons_elsewhere() -> None:
    assert find_icon(b'<link rel=icon href="//cdn.test/a.png">', PAGE) == "https://cdn.test/a.png"
    assert find_icon(b"<base href=http://b.test/x/y><link rel=icon href=a.png>", PAGE) == "http://b.test/x/a.png"


def test_letters_that_grow_in_lower_case() -> None:
    page = "<p>" + "İ" * 50 + "<script></script><link rel=icon href=/a.png>"
    assert find_icon(page.encode(), PAGE) == f"{ROOT}/a.png"


HOSTILE = (
    "<",
    "<!--",
    "<link ",
    '<link a="',
    "<link a='",
    "<link " + "a " * 40,
    "<script>",
    "<link\t\t\t\t",
    "<base href=/x ",
)


@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_pages_take_no_longer(unit: str) -> None:
    page = (unit * 600_000)[:600_000].encode()
    start = time.process_time()
    find_icon(page, PAGE)
    assert time.process_time() - start < 3


@given(st.text(alphabet="<>/!-= \"'linkbasehrefscript.pngico:?#[]&;x1"))
def test_anything_gives_a_url(page: str) -> None:
    assert find_icon(page.encode(), PAGE)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"<html>", True),
        (b" \r\n<!DOCTYPE html>", True),
        (b"\xef\xbb\xbf<HTML lang=en>", True),
        (b"<svg", False),
        (b"\x89PNG", False),
        (b"", False),
    ],
)
def test_pages_in_place_of_icons(content: bytes, expected: bool) -> None:
    assert is_page(content) is expected


@pytest.mark.parametrize(("url", "expected"), [("http://a/x.ICO?y", True), ("http://a/x.png?.ico", False)])
def test_ico(url: str, expected: bool) -> None:
    assert is_ico(url) is expected
