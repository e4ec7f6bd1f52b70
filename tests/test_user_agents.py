"""The answers of the reference library, row by row, and what must hold for any text at all."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from litewrite.user_agents import MAX_LENGTH, Client, Detector

REFERENCE: list[dict[str, Any]] = json.loads((Path(__file__).parent / "user_agents.json").read_text(encoding="utf-8"))
# Names on the box, which no rule can tell from the factory's codes in the header (SM-G960F, SM-A205U, VOG-L29, ...).
UNKNOWN_MODELS = {"Galaxy S9", "Galaxy A20", "P30 Pro", 'Galaxy Tab S3 9.7" LTE'}

CLIENT_TYPES = {"browser", "library", "mobile app", "mediaplayer", "pim", "feed reader", ""}
DEVICE_NAMES = {"desktop", "smartphone", "tablet", "phablet", "feature phone", "console", "tv", "car browser"}
DEVICE_NAMES |= {"smart display", "smart speaker", "camera", "portable media player", "wearable", "peripheral", ""}
WINDOWS_NAMES = {"XP", "Vista", "ME", "NT", "Server 2003"}
TWO_NUMBERS = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?)?")

LIKE_GECKO = "AppleWebKit/537.36 (KHTML, like Gecko)"
ON_ANDROID = LIKE_GECKO + " Chrome/96.0.4664.45 Mobile Safari/537.36"


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector()


@pytest.mark.parametrize("row", REFERENCE, ids=lambda row: row["user_agent"][:80] or "empty")
def test_answers_of_the_reference(detector: Detector, row: dict[str, Any]) -> None:
    *known, model = row["gives"]
    assert astuple(detector.detect(row["user_agent"])) == (*known, "" if model in UNKNOWN_MODELS else model)


def test_reference_is_whole() -> None:
    assert len(REFERENCE) == 55
    assert all(len(row["gives"]) == 12 for row in REFERENCE)
    assert {row["gives"][-1] for row in REFERENCE} >= UNKNOWN_MODELS


@pytest.mark.parametrize(
    ("user_agent", "system", "client", "engine", "device"),
    [
        (  # Edge before it was built on Chromium
            f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {LIKE_GECKO} Chrome/64.0.3282.140 Safari/537.36 Edge/18.17763",
            ("WIN", "Windows", "10"),
            ("browser", "PS", "Microsoft Edge", "18.17763"),
            ("Edge", "18.17763"),
            ("desktop", "", ""),
        ),
        (  # a product in no table shows the browser inside
            f"Mozilla/5.0 (Windows NT 10.0) {LIKE_GECKO} MyApp/1.0 Chrome/91.0.4472.1 Electron/13.6.9 Safari/537.36",
            ("WIN", "Windows", "10"),
            ("browser", "CH", "Chrome", "91.0"),
            ("Blink", ""),
            ("desktop", "", ""),
        ),
        (  # a robot gets no special treatment
            f"Mozilla/5.0 (Linux; Android 6.0.1; K) {ON_ANDROID} (compatible; Googlebot/2.1; +http://google.com/bot)",
            ("AND", "Android", "6.0"),
            ("browser", "CM", "Chrome Mobile", "96.0"),
            ("Blink", ""),
            ("smartphone", "", ""),
        ),
        (
            "Mozilla/5.0 (Windows NT 5.2; rv:52.0) Gecko/20100101 Firefox/52.0",
            ("WIN", "Windows", "Server 2003"),
            ("browser", "FF", "Firefox", "52.0"),
            ("Gecko", "52.0"),
            ("desktop", "", ""),
        ),
        (
            "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:15.0) Gecko/20100101 Firefox/15.0.1 Ubuntu/12.04",
            ("UBT", "Ubuntu", "12.04"),
            ("browser", "FF", "Firefox", "15.0"),
            ("Gecko", "15.0"),
            ("desktop", "", ""),
        ),
        (
            "Opera/9.80 (Windows NT 6.0) Presto/2.12.388 Version/12.18",
            ("WIN", "Windows", "Vista"),
            ("browser", "OP", "Opera", "12.18"),
            ("Presto", "2.12.388"),
            ("desktop", "", ""),
        ),
        (  # iPads ran iOS before 13
            "Mozilla/5.0 (iPad; CPU OS 12_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/12.1"
            " Mobile/15E148 Safari/604.1",
            ("IOS", "iOS", "12.4"),
            ("browser", "MF", "Mobile Safari", "12.1"),
            ("WebKit", "605.1.15"),
            ("tablet", "Apple", "iPad"),
        ),
        (
            "Mozilla/5.0 (iPad; CPU OS 13_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/84.0.4147.122"
            " Mobile/15E148 Safari/604.1",
            ("IPA", "iPadOS", "13.1"),
            ("browser", "CI", "Chrome Mobile iOS", "84.0"),
            ("WebKit", "605.1.15"),
            ("tablet", "Apple", "iPad"),
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 15_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
            " OPiOS/16.0.15.124050 Mobile/15E148 Safari/9537.53",
            ("IOS", "iOS", "15.5"),
            ("browser", "O1", "Opera Mini iOS", "16.0"),
            ("WebKit", "605.1.15"),
            ("smartphone", "Apple", "iPhone"),
        ),
        (  # Apple's network library on a Mac
            "app/1.0 CFNetwork/1240.0.4 Darwin/20.6.0 (x86_64)",
            ("MAC", "Mac", "11.5"),
            ("", "", "", ""),
            ("", ""),
            ("desktop", "Apple", ""),
        ),
        (
            "Mozilla/5.0 (Linux; U; Android 2.3.6; en-us; GT-S5830 Build/GINGERBREAD) AppleWebKit/533.1"
            " (KHTML, like Gecko) Version/4.0 Mobile Safari/533.1",
            ("AND", "Android", "2.3"),
            ("browser", "AN", "Android Browser", ""),
            ("WebKit", "533.1"),
            ("smartphone", "Samsung", ""),
        ),
        (
            f"Mozilla/5.0 (Linux; Android 9; Redmi Note 8) {ON_ANDROID}",
            ("AND", "Android", "9"),
            ("browser", "CM", "Chrome Mobile", "96.0"),
            ("Blink", ""),
            ("smartphone", "Xiaomi", "Redmi Note 8"),
        ),
        (
            f"Mozilla/5.0 (Linux; Android 9; RMX2001) {ON_ANDROID}",
            ("AND", "Android", "9"),
            ("browser", "CM", "Chrome Mobile", "96.0"),
            ("Blink", ""),
            ("smartphone", "Realme", ""),
        ),
        (  # an application that shows web pages
            f"Mozilla/5.0 (Linux; Android 11; SM-T510 Build/RP1A; wv) {LIKE_GECKO} Version/4.0 Chrome/95.0.1.2"
            " Safari/537.36 [FB_IAB/FB4A;FBAV/345.0.0.34.118;]",
            ("AND", "Android", "11"),
            ("mobile app", "", "Facebook", "345.0"),
            ("", ""),
            ("tablet", "Samsung", ""),
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:91.0) Gecko/20100101 Thunderbird/91.4.0",
            ("LIN", "GNU/Linux", ""),
            ("pim", "", "Thunderbird", "91.4"),
            ("", ""),
            ("desktop", "", ""),
        ),
        (
            "Mozilla/5.0 (PlayStation 4 8.03) AppleWebKit/605.1.15 (KHTML, like Gecko)",
            ("", "", ""),
            ("", "", "", ""),
            ("", ""),
            ("console", "Sony", "PlayStation 4"),
        ),
        (
            f"Mozilla/5.0 (Web0S; Linux/SmartTV) {LIKE_GECKO} Chrome/68.0.3440.106 Safari/537.36 WebAppManager",
            ("WOS", "webOS", ""),
            ("browser", "CH", "Chrome", "68.0"),
            ("Blink", ""),
            ("tv", "LG", ""),
        ),
        (
            "curl/7.68.0 (x86_64-pc-linux-gnu) libcurl/7.68.0",
            ("LIN", "GNU/Linux", ""),
            ("library", "", "curl", "7.68"),
            ("", ""),
            ("desktop", "", ""),
        ),
        (
            "GuzzleHttp/6.5.5 curl/7.68.0 PHP/8.0.3",
            ("", "", ""),
            ("library", "", "Guzzle (PHP HTTP Client)", "6.5"),
            ("", ""),
            ("", "", ""),
        ),
        (  # part of a longer name is not that name
            "java-sdk/1.0",
            ("", "", ""),
            ("", "", "", ""),
            ("", ""),
            ("", "", ""),
        ),
    ],
)
def test_readings_beyond_the_reference(
    detector: Detector,
    user_agent: str,
    system: tuple[str, ...],
    client: tuple[str, ...],
    engine: tuple[str, ...],
    device: tuple[str, ...],
) -> None:
    assert astuple(detector.detect(user_agent)) == (*system, *client, *engine, *device)


def test_a_device_without_a_name(detector: Detector) -> None:
    # ua-parser itself raises here.
    found = detector.detect(f"Mozilla/5.0 (Linux; Android 9;  ) {ON_ANDROID}")
    assert found == Client("AND", "Android", "9", "browser", "CM", "Chrome Mobile", "96.0", "Blink", "", "smartphone")


def test_digits_of_other_scripts_are_no_version(detector: Detector) -> None:
    found = detector.detect("Mozilla/5.0 (Windows NT 10.0) Chrome/٩٦.٠.1")
    assert (found.client_name, found.client_version) == ("Chrome", "")


def test_only_the_beginning_counts(detector: Detector) -> None:
    beyond = "x" * (MAX_LENGTH - 1) + " curl/7.68.0"
    assert detector.detect(beyond) == Client()
    assert detector.detect(beyond[2 * len("curl/7.68.0") :]).client_name == "curl"


def test_remembers_a_bounded_number() -> None:
    detector = Detector(cache_size=2)
    first = detector.detect("curl/1.1")
    assert detector.detect("curl/1.1") is first
    assert detector.detect("curl/1.1" + " " * MAX_LENGTH) is not first
    detector.detect("curl/1.2")
    again = detector.detect("curl/1.1")
    assert again == first
    assert again is not first
    assert Detector(cache_size=2).detect("curl/1.1") is not again


HOSTILE = [
    "; " * 300,
    "Mozilla/5.0 (Linux; Android 9; " + "; " * 300,
    "Mozilla/5.0 (Linux; Android 9; " + "a" * 500,
    "Mozilla/5.0 (Linux; Android 9; " + "A a-" * 150 + " Build/",
    "CFNetwork/ Darwin/" * 40,
    "rv:1" * 150 + " Gecko/1",
    "Mozilla/5.0 " + "bot " * 150,
    "Tizen TV " * 80,
    "1." * 300,
    "iPhone Android Windows Linux " * 30,
]


@pytest.mark.parametrize("user_agent", HOSTILE, ids=lambda text: text[:40])
def test_hostile_text_takes_little_time(detector: Detector, user_agent: str) -> None:
    detector.detect("Mozilla/5.0 (Linux; Android 9; K) " + ON_ANDROID)  # rules are loaded
    begun = time.process_time()
    detector.detect(user_agent)
    # Below 10 ms on an idle machine, once the rules are compiled; a pattern that runs away takes seconds.
    assert time.process_time() - begun < 0.5


PIECES = sorted(
    {piece for row in REFERENCE for piece in re.split(r"(?<=[ ;()/])", row["user_agent"])} | {"  ", "é", "\0"}
)
HEADERS = st.one_of(
    st.text(max_size=600),
    st.lists(st.sampled_from(PIECES), max_size=40).map("".join),
    st.tuples(st.sampled_from([row["user_agent"] for row in REFERENCE]), st.integers(0, 200), st.text(max_size=8)).map(
        lambda cut: cut[0][: cut[1]] + cut[2] + cut[0][cut[1] :]
    ),
    st.binary(max_size=100).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
)


@given(user_agent=HEADERS)
@settings(max_examples=400, deadline=None, derandomize=True)
def test_any_text_gives_twelve_fitting_strings(detector: Detector, user_agent: str) -> None:
    found = detector.detect(user_agent)
    values = astuple(found)
    assert len(values) == 12
    assert all(type(value) is str and value.isascii() for value in values)
    assert TWO_NUMBERS.fullmatch(found.os_version) or (found.os_code == "WIN" and found.os_version in WINDOWS_NAMES)
    assert TWO_NUMBERS.fullmatch(found.client_version)
    assert re.fullmatch(r"[0-9.]*", found.client_engine_version)
    assert found.client_type in CLIENT_TYPES
    assert found.device_name in DEVICE_NAMES
    assert bool(found.client_code) == (found.client_type == "browser")
    assert bool(found.client_name) == bool(found.client_type)
    assert bool(found.os_name) == bool(found.os_code)
    assert found.os_name or not found.os_version
    assert found.client_engine or not found.client_engine_version
    assert found.device_brand or not found.device_model


def test_rules_are_loaded_on_first_use() -> None:
    script = (
        "import sys; from litewrite.user_agents import Detector; detector = Detector()\n"
        "assert 'ua_parser' not in sys.modules\n"
        "assert detector.detect('curl/7.68.0').client_name == 'curl'\n"
        "assert 'ua_parser' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
