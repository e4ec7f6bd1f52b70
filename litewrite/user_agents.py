"""What a `User-Agent` header says about system, client and device, in the codes and names of Matomo Device Detector.

The rules that read the header are those of `ua-parser`, a library that keeps up with new browsers. Its names differ
from the ones that sessions and logs show, so this module is the map between the two: tables of names, plus the few
readings where the two libraries disagree in kind (program libraries, rendering engines, kinds of device). A name that
is in no table is unknown and stays empty; nothing of the header is passed on unless it looks like a version or one of
the known product names.

The library is imported on first use. Its rules for devices are by far the largest part and are asked only where they
can tell something, which leaves out desktop computers, Apple's devices and programs.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from litewrite.entities import Client

if TYPE_CHECKING:
    from ua_parser import OS, Device, UserAgent

MAX_LENGTH = 512
"""Characters of the header that are read; bounds the time of the many regular expressions."""


class Detector:
    """Reads `User-Agent` headers and remembers the latest answers (least recently used first out)."""

    def __init__(self, *, cache_size: int = 512) -> None:
        self._rules: _Rules | None = None
        self._remembered = lru_cache(maxsize=cache_size)(self._detect)

    def detect(self, user_agent: str) -> Client:
        """Never fails, whatever the text; only its first 512 characters count.

        The first call loads the rules (some 10 ms, and up to 100 ms more while they are compiled as needed); later
        ones take about 1 ms for ordinary headers, below 10 ms for the worst known one. May be called from any thread.
        """
        return self._remembered(user_agent[:MAX_LENGTH])

    def _detect(self, ua: str) -> Client:
        if not ua or ua.isspace():
            return Client()
        rules = self._rules = self._rules or _Rules()
        program = _program(ua)
        system = _system(ua, rules.os(ua), program)
        client = program or _application(ua, rules.client(ua), system)
        engine, engine_version = _engine(ua, client)
        device = _device(ua, rules, system, client)
        return Client(*system, *client, engine, engine_version, *device)


class _System(NamedTuple):
    code: str = ""
    name: str = ""
    version: str = ""


class _Application(NamedTuple):
    kind: str = ""
    code: str = ""
    name: str = ""
    version: str = ""


class _Hardware(NamedTuple):
    kind: str = ""
    brand: str = ""
    model: str = ""


class _Rules:
    """The library's rules, asked for one thing at a time since each costs time and, at first, memory."""

    def __init__(self) -> None:
        # The plain resolver, whatever else is installed, so that answers do not depend on the machine.
        from ua_parser import BasicResolver, Domain, load_lazy_builtins

        self._resolve = BasicResolver(load_lazy_builtins())
        self._domain = Domain

    def os(self, ua: str) -> OS | None:
        try:
            return self._resolve(ua, self._domain.OS).os
        except ValueError:  # a rule matched but its name came out empty: the library raises instead of going on
            return None

    def client(self, ua: str) -> UserAgent | None:
        return self._resolve(ua, self._domain.USER_AGENT).user_agent

    def device(self, ua: str) -> Device | None:
        try:
            return self._resolve(ua, self._domain.DEVICE).device
        except ValueError:  # as in os()
            return None


def _version(*numbers: str | None) -> str:
    """Joins numbers up to the first that is missing or does not begin with a digit; letters behind digits go."""
    kept: list[str] = []
    for number in numbers:
        digits = re.match(r"[0-9]+", number or "")
        if digits is None:
            break
        kept.append(digits[0])
    return ".".join(kept)


def _renames(table: str) -> dict[str, str]:
    """Reads `our name = ua-parser's name; ...`, by the latter, which is left out where both are the same."""
    names: dict[str, str] = {}
    for row in table.split(";"):
        ours, _, theirs = row.strip().partition(" = ")
        names[theirs or ours] = ours
    return names


def _names(table: str) -> dict[str, tuple[str, str]]:
    """Like _renames, each row with a code in front."""
    names: dict[str, tuple[str, str]] = {}
    for theirs, ours in _renames(table).items():
        code, _, name = ours.partition(" ")
        names[name if theirs == ours else theirs] = (code, name)
    return names


# Program libraries: few, named by one plain token, and taken before browsers since they imitate none.

_PROGRAMS = _renames("""
    aiohttp; Apache HTTP Client = apache-httpclient; curl; Faraday = faraday; Go-http-client = go-http-client;
    Google HTTP Java Client = google-http-java-client; Guzzle (PHP HTTP Client) = guzzle;
    Guzzle (PHP HTTP Client) = guzzlehttp; HTTP_Request2 = http_request2; HTTPie = httpie; Java = java;
    Java HTTP Client = java-http-client; curl = libcurl; libdnf; Perl = libwww-perl; Mechanize = mechanize;
    Node Fetch = node-fetch; OkHttp = okhttp; Postman Desktop = postmanruntime;
    Python Requests = python-requests; Python urllib = python-urllib; Python urllib = python-urllib3;
    ReactorNetty = reactornetty; RestSharp = restsharp; ScalaJ HTTP = scalaj-http; uclient-fetch;
    urlgrabber (yum) = urlgrabber; Wget = wget; WWW-Mechanize = www-mechanize
""")
# A lone digit is no version to the reference library, except for OkHttp.
_PROGRAM = re.compile(
    r"(?<![\w.-])("
    + "|".join(sorted(map(re.escape, _PROGRAMS), key=len, reverse=True))
    + r")(?![\w-])(?:(?<=okhttp)/([0-9][0-9.]*)|/([0-9][0-9.]+))?",
    re.ASCII | re.IGNORECASE,
)


def _program(ua: str) -> _Application | None:
    found = None if ua.startswith("Mozilla/") and "Gecko" in ua else _PROGRAM.search(ua)
    if found is None:
        return None
    version = (found[2] or found[3] or "").split(".")
    return _Application("library", "", _PROGRAMS[found[1].lower()], _version(*version[:2]))


# Operating systems

_SYSTEMS = _names("""
    AND Android; AND Android = Chromecast Android; ARL Arch Linux; BTR BackTrack; SBA Bada; BLB BlackBerry OS;
    QNX BlackBerry Tablet OS; CES CentOS; COS Chrome OS; DEB Debian; FED Fedora; FOS Firefox OS; BSD FreeBSD;
    GNT Gentoo; LIN GNU/Linux = Chromecast Linux; LIN GNU/Linux = Linux; GTV Google TV = GoogleTV;
    HAR HarmonyOS; IOS iOS; KOS KaiOS; KBT Kubuntu; LBT Lubuntu; MAC Mac = Mac OS; MAC Mac = Mac OS X;
    MAE Maemo; MAG Mageia; MDR Mandriva; SMG MeeGo; MIN Mint = Linux Mint; NBS NetBSD; OBS OpenBSD;
    PCL PCLinuxOS; RHT Red Hat; ROK Roku OS = Roku; SAF Sailfish OS = Sailfish; SLW Slackware; SOS Solaris;
    SSE SUSE; SSE SUSE = openSUSE; SYS Symbian OS; S40 Symbian OS Series 40 = Nokia Series 40; SY3 Symbian^3;
    TIZ Tizen; ATV tvOS = ATV OS X; ATV tvOS; UBT Ubuntu; WAS watchOS = WatchOS; WOS webOS = Web0S; WOS webOS;
    WIN Windows; WMO Windows Mobile; WPH Windows Phone
""")
_WINDOWS_NAMES = {"XP", "Vista", "ME", "NT"}
_DESKTOPS = {"WIN", "MAC", "COS", "LIN", "ARL", "BTR", "CES", "DEB", "FED", "GNT", "KBT", "LBT", "MAG", "MDR", "MIN"}
_DESKTOPS |= {"PCL", "RHT", "SLW", "SSE", "UBT", "BSD", "NBS", "OBS", "SOS"}
_APPLE = {"MAC", "IOS", "IPA", "ATV", "WAS"}

_DARWIN = re.compile(r"CFNetwork/.* Darwin/([0-9]{1,3})\.([0-9]{1,3})", re.ASCII)
_INTEL = re.compile(r"x86_64|i386")
# iOS by its kernel: version = kernel.
_IOS_OF_DARWIN = _renames("""
    12.0 = 18.0; 12.1 = 18.2; 12.2 = 18.5; 12.3 = 18.6; 12.4 = 18.7; 13.0 = 19.0; 13.3 = 19.2; 13.3 = 19.3;
    13.4 = 19.4; 13.5 = 19.5; 13.6 = 19.6; 14.0 = 20.0; 14.2 = 20.1; 14.3 = 20.2; 14.4 = 20.3; 14.5 = 20.4;
    14.6 = 20.5; 14.7 = 20.6; 15.0 = 21.0; 15.1 = 21.1; 15.2 = 21.2
""")
_CHROME = re.compile(r"(?:Headless)?Chrom(?:e|ium)/([0-9]+(?:\.[0-9]+)?)", re.ASCII)


def _system(ua: str, os: OS | None, program: _Application | None) -> _System:
    if os is None or os.family not in _SYSTEMS:
        # OkHttp is Android's HTTP client and says nothing else about its system.
        return _System("AND", "Android") if program and program.name == "OkHttp" else _System()
    code, name = _SYSTEMS[os.family]
    version = _version(os.major, os.minor)
    darwin = _DARWIN.search(ua)
    if darwin and code in {"IOS", "MAC"}:
        return _system_of_darwin(ua, int(darwin[1]), int(darwin[2]), version)
    if code == "IOS" and "iPad" in ua and version and int(version.split(".")[0]) >= 13:
        code, name = "IPA", "iPadOS"
    elif code == "COS":
        # The reference library shows the browser's version here; the header's own is a build number.
        chrome = _CHROME.search(ua)
        version = chrome[1] if chrome else ""
    elif code == "LIN":
        version = ""
    elif code == "WIN":
        if os.major == "RT":
            return _System("WRT", "Windows RT", "8.1" if "NT 6.3" in ua else "")
        if "Windows NT 5.2" in ua:
            version = "Server 2003"
        elif os.major in _WINDOWS_NAMES:
            version = os.major
    return _System(code, name, version)


def _system_of_darwin(ua: str, major: int, minor: int, otherwise: str) -> _System:
    """Apple's network library names the kernel only, whose numbers follow those of both systems."""
    if not _INTEL.search(ua):
        return _System("IOS", "iOS", _IOS_OF_DARWIN.get(f"{major}.{minor}", otherwise))
    version = f"{major - 9}.{max(minor - 1, 0)}" if major >= 20 else f"10.{max(major - 4, 0)}"
    return _System("MAC", "Mac", version)


# Browsers and other applications

_BROWSERS = _names("""
    AL Aloha Browser; AN Android Browser = Android; AS Avast Secure Browser; VG AVG Secure Browser = AVG;
    BD Baidu Browser; BI Basilisk; BB BlackBerry Browser = BlackBerry;
    BB BlackBerry Browser = BlackBerry WebKit; BR Brave; CA Camino; CH Chrome; CF Chrome Frame;
    CM Chrome Mobile; CI Chrome Mobile iOS; CV Chrome Webview = Chrome Mobile WebView; CR Chromium;
    C1 Coast = Opera Coast; CC Coc Coc; CD Comodo Dragon; DI Dillo;
    DD DuckDuckGo Privacy Browser = DuckDuckGo Mobile; EC Ecosia = Ecosia Android; EC Ecosia = Ecosia iOS;
    EL Elinks = ELinks; FF Firefox; FF Firefox = Firefox Alpha; FF Firefox = Firefox Beta; FM Firefox Mobile;
    F1 Firefox Mobile iOS = Firefox iOS; EP GNOME Web = Epiphany; HC Headless Chrome = HeadlessChrome;
    HU Huawei Browser; I4 IceCat; IW Iceweasel; IM IE Mobile; IE Internet Explorer = IE; IR Iron;
    KM K-meleon = K-Meleon; KO Konqueror; LI Links; LX Lynx; MX Maxthon; PS Microsoft Edge = Edge;
    PS Microsoft Edge = Edge Mobile; MI Midori; MT Mint Browser; MU MIUI Browser = MiuiBrowser;
    MF Mobile Safari; MF Mobile Safari = Mobile Safari UI/WKWebView; MS Mobile Silk = Amazon Silk; NS Netscape;
    NB Nokia Browser; OC Oculus Browser; OW OmniWeb; OP Opera; OX Opera GX; OI Opera Mini; OM Opera Mobile;
    OG Opera Neon; OO Opera Touch; PM Pale Moon; PB Phoenix Browser; PU Puffin; QQ QQ Browser;
    QQ QQ Browser = QQ Browser Mobile; Q1 QQ Browser Mini; QW QtWebEngine = Qt Web Engine; SF Safari;
    SF Safari = WebKit Nightly; SA Sailfish Browser; SB Samsung Browser = Samsung Internet;
    SZ Seznam Browser = Seznam prohlížeč; SE Sogou Explorer; TZ Tizen Browser; UC UC Browser; VI Vivaldi;
    VV vivo Browser = VivoBrowser; WF Waterfox; WH Whale Browser = Whale; YA Yandex Browser
""")
_MOBILE_BROWSERS = {"AL", "C1", "DD", "FM", "HU", "MF", "OC", "OI", "OM", "PU", "SA", "SB", "VV"}
_APPLICATIONS = {
    theirs: (kind, ours)
    for kind, names in {
        "feed reader": "Akregator; Liferea; NetNewsWire",
        "mediaplayer": "Clementine; iTunes; QuickTime; VLC",
        "mobile app": "Facebook; Facebook Messenger; Google Search App = Google; Instagram; Line = LINE; Pinterest; "
        "Snapchat; TikTok; Twitter; WhatsApp",
        "pim": "Airmail; Lotus Notes; Postbox; SeaMonkey; Thunderbird",
    }.items()
    for theirs, ours in _renames(names).items()
}
_FIREFOX = re.compile(r"Firefox/([0-9]+(?:\.[0-9]+)?)", re.ASCII)


def _application(ua: str, parsed: UserAgent | None, system: _System) -> _Application:
    if parsed is None:
        return _Application()
    version = _version(parsed.major, parsed.minor)
    if parsed.family in _BROWSERS:
        code, name = _BROWSERS[parsed.family]
        if code == "AN":
            version = ""  # the number that the rules give is the system's
        elif code == "OI" and system.code in _APPLE:
            code, name = "O1", "Opera Mini iOS"
        return _Application("browser", code, name, version)
    if parsed.family in _APPLICATIONS:
        kind, name = _APPLICATIONS[parsed.family]
        return _Application(kind, "", name, version)
    return _underlying_browser(ua, system)


def _underlying_browser(ua: str, system: _System) -> _Application:
    """The browser inside a product that is in no table, robots in a browser's clothes among them."""
    if not ua.startswith("Mozilla/"):
        return _Application()
    on_android = system.code in {"AND", "HAR"}
    if found := _CHROME.search(ua):
        family = "Chrome"
        if on_android:
            family = "Chrome Mobile WebView" if "; wv)" in ua else "Chrome Mobile" if "Mobile" in ua else family
    elif found := _FIREFOX.search(ua):
        family = "Firefox Mobile" if on_android else "Firefox"
    else:
        return _Application()
    return _Application("browser", *_BROWSERS[family], found[1])


_FIXED_ENGINES = {"AN": "WebKit", "SB": "WebKit"}
_BLINK_SINCE = 28
_WEBKIT = re.compile(r"AppleWebKit/([0-9][0-9.]*)", re.ASCII)
_ENGINES = [
    ("Edge", re.compile(r"Edge/([0-9][0-9.]*)", re.ASCII)),
    ("WebKit", _WEBKIT),
    ("Trident", re.compile(r"Trident/([0-9][0-9.]*)|\bMSIE ", re.ASCII)),
    ("Presto", re.compile(r"Presto/([0-9][0-9.]*)", re.ASCII)),
    ("Goanna", re.compile(r"Goanna/([0-9][0-9.]*)", re.ASCII)),
    ("Gecko", re.compile(r"(?:\brv:([0-9][0-9.]*).*)?\bGecko/", re.ASCII)),
    ("KHTML", re.compile(r"KHTML/([0-9][0-9.]*)", re.ASCII)),
]


def _engine(ua: str, client: _Application) -> tuple[str, str]:
    if client.kind != "browser":
        return "", ""
    if fixed := _FIXED_ENGINES.get(client.code):
        webkit = _WEBKIT.search(ua)
        return fixed, webkit[1].rstrip(".") if webkit else ""
    chrome = _CHROME.search(ua)
    for name, pattern in _ENGINES:
        if found := pattern.search(ua):
            if name == "WebKit" and chrome and int(chrome[1].split(".")[0]) >= _BLINK_SINCE:
                return "Blink", ""
            return name, (found[1] or "").rstrip(".")
    return "", ""


# Devices

_BRANDS = _renames("""
    Acer; Alcatel; Amazon; Asus; Google; HTC; Huawei; Infinix; LG; Lenovo; Meizu; Microsoft; Motorola; Nintendo;
    Nokia; OnePlus; Samsung; Sony; ZTE; RIM = BlackBerry; OPPO = Oppo; Vivo = vivo; Xiaomi = XiaoMi
""")
# The rules know makers, but of most models only the factory's code. These are the names on the box.
_MODEL_NAMES = re.compile(
    r"(?:Pixel|Nexus|Redmi|POCO|Kindle Fire|Mi [A-Z]?[0-9])[A-Za-z0-9 +]{0,30}|PlayStation [3-9]|Switch|Xbox One",
    re.ASCII,
)
_SAMSUNG_TABLETS = re.compile(r"(?:SM-[TPX]|GT-P)[0-9]", re.ASCII)
_APPLE_DEVICES = [
    ("iPad", "tablet"),
    ("iPod", "portable media player"),
    ("iPhone", "smartphone"),
    ("Apple TV", "tv"),
    ("AppleTV", "tv"),
]
_APPLE_MODELS = {"iPod": "iPod Touch", "AppleTV": "Apple TV"}
_TV = re.compile(r"(?:Android|Google) TV|Andr0id|BRAVIA|SMART-TV|SmartTV|Tizen.+ TV |HbbTV/|\bTV$", re.ASCII)
_TABLET = re.compile(r"Android(?: [0-9.]+)?; Tablet;|Tablet(?! PC)|Opera Tablet", re.ASCII)
_PHONE = re.compile(r"Android(?: [0-9.]+)?; Mobile;", re.ASCII)
_KINDS = {
    "BLB": "smartphone",
    "KOS": "feature phone",
    "S40": "feature phone",
    "WMO": "smartphone",
    "WPH": "smartphone",
    "WRT": "tablet",
}


def _device(ua: str, rules: _Rules, system: _System, client: _Application) -> _Hardware:
    if system.code in _APPLE:
        return _apple_device(ua, system)
    if system.code == "WIN" and "Xbox" in ua:
        return _Hardware("console", "Microsoft", "Xbox One" if "Xbox One" in ua else "Xbox")
    if system.code in _DESKTOPS:
        if _TV.search(ua):
            return _Hardware("tv")
        if system.code == "WIN" and "Touch" in ua and system.version in {"8", "8.1", "10"}:
            return _Hardware("tablet")
        return _Hardware() if client.code in _MOBILE_BROWSERS else _Hardware("desktop")
    # A program on its own names no device; asking would load the largest part of the rules for nothing.
    if "Android" not in ua and (client.kind == "library" or not (system.code or ua.startswith("Mozilla/"))):
        return _Hardware()
    brand, model, code = _brand_and_model(rules.device(ua))
    return _Hardware(_kind(ua, system, brand, model, code), brand, model)


def _apple_device(ua: str, system: _System) -> _Hardware:
    if system.code == "MAC":
        return _Hardware("desktop", "Apple")
    for token, kind in _APPLE_DEVICES:
        if token in ua:
            return _Hardware(kind, "Apple", _APPLE_MODELS.get(token, token))
    return _Hardware({"ATV": "tv", "WAS": "wearable"}.get(system.code, ""), "Apple")


def _brand_and_model(parsed: Device | None) -> tuple[str, str, str]:
    """Brand, model when it is known by name, and the model as the header has it."""
    if parsed is None or parsed.brand not in _BRANDS:
        return "", "", ""
    code = parsed.model or ""
    # Amazon's family is the name; its model adds the size of the screen, which the reference leaves out.
    name = parsed.family if parsed.brand == "Amazon" else code
    model = name if _MODEL_NAMES.fullmatch(name) else ""
    if model.startswith(("Nexus", "Pixel")):
        return "Google", model, code  # its name is on them, whoever built them
    # The rules count this maker's telephones to its former parent.
    return "Realme" if code.startswith("RMX") else _BRANDS[parsed.brand], model, code


def _kind(ua: str, system: _System, brand: str, model: str, code: str) -> str:
    if _TV.search(ua):
        return "tv"
    if model.startswith(("PlayStation", "Switch")):
        return "console"
    if system.code in _KINDS:
        return _KINDS[system.code]
    if system.code not in {"AND", "HAR"}:
        return ""
    if model.startswith("Kindle") or (brand == "Samsung" and _SAMSUNG_TABLETS.match(code)):
        return "tablet"
    if "Chrome/" in ua:
        return "smartphone" if "Mobile" in ua else "tablet"
    if _TABLET.search(ua):
        return "tablet"
    if brand or _PHONE.search(ua):
        return "smartphone"
    # Until 2 Android was for telephones only, and 3 for tablets only.
    major = system.version.split(".")[0]
    return "smartphone" if major == "1" else "tablet" if major == "3" else ""
