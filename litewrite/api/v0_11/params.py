"""Kinds of parameters that several services of Appwrite 0.11 share."""

from __future__ import annotations

from litewrite.http.params import Id, Integer, ListOf, OneOf, Text

ID = Id()
NAME = Text(max=128)
SEARCH = Text(max=256)
LIMIT = Integer(0, 100)
OFFSET = Integer(0, 2000)
ORDER_TYPE = OneOf(("ASC", "DESC"))
ROLES = ListOf(Text(max=64))

LOCALES = frozenset(
    (  # noqa: SIM905
        "af ar as az be bg bh bn bs ca cs da de en eo es fa fi fo fr el ga gu he hi hr hu hy id is it ja jv kn km ko "
        "lb lt lv ml mr ms nb nl nn no ne or tl pl pt-br pt-pt pa ro ru sa si sk sl sq sv ta th tr uk ur vi zh-cn zh-tw"
    ).split()
)
