"""Full-text search: the query language of clients made into FTS5's, and the rows of the index.

There is one index for everything, with one row a text value, because required words and phrases have to be in the same
value. Its texts are stored nowhere in it, so what is removed has to be named again word for word; and a column holds
one word for the place (a collection, the files of a project), so that a search never leaves it.

FTS5 keeps every word. Words that clients cannot find (short, long or common ones) are dropped from their queries
instead, and values without any word that could be found are not indexed at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from unicodedata import combining, normalize

from litewrite.db.engine import Transaction
from litewrite.db.ids import pack
from litewrite.db.query import Value

SHORTEST_WORD = 3
LONGEST_WORD = 84
_STOP_WORDS = """
    a about an are as at be by com de en for from how i in is it la of on or that the this to was what when where who
    will with und www
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
MATCH_NOTHING = '""'
"""A match expression that holds for no row."""

VALUE_BITS = 11
MOST_VALUES = 1 << VALUE_BITS
"""Rows of one resource; further values share the last one."""

_WORD = re.compile(r"[\w\u0300-\u036f]+")
_TERM = re.compile(r'(?:(?<![\w\u0300-\u036f+-])([+-]+))?(?:"([^"]*)"|([\w\u0300-\u036f]+)(\*?))|"')
_FINDABLE = re.compile(r"[\w\u0300-\u036f]{3}")


@dataclass(frozen=True, slots=True)
class Term:
    """A word, the beginning of one, or a phrase, in the spelling of the client."""

    words: tuple[str, ...]
    is_prefix: bool = False

    @property
    def expression(self) -> str:
        return f'"{" ".join(self.words)}"' + (" *" if self.is_prefix else "")

    def holds_for(self, word: str) -> bool:
        """Whether a value that is just this word, in ASCII lower case, has the term."""
        if len(self.words) != 1:
            return False
        own = bare(self.words[0])
        return word.startswith(own) if self.is_prefix else word == own


@dataclass(frozen=True, slots=True)
class Search:
    """What a search asks of one value: all of the required terms or else any of the optional, none of the excluded."""

    required: tuple[Term, ...] = ()
    optional: tuple[Term, ...] = ()
    excluded: tuple[Term, ...] = ()

    @property
    def finds_nothing(self) -> bool:
        return not self.required and not self.optional

    @property
    def expression(self) -> str:
        """For FTS5, on the column `value`."""
        if self.finds_nothing:
            return MATCH_NOTHING
        if self.required:
            wanted = " AND ".join(term.expression for term in self.required)
        else:
            wanted = " OR ".join(term.expression for term in self.optional)
        if self.excluded:
            wanted = f"({wanted}) NOT ({' OR '.join(term.expression for term in self.excluded)})"
        return f"value : ({wanted})"

    def match(self, *scopes: str) -> str:
        """For FTS5, on all columns: the values of one place, or of any of several."""
        places = f'"{scopes[0]}"' if len(scopes) == 1 else "(" + " OR ".join(f'"{scope}"' for scope in scopes) + ")"
        return f"scope : {places} AND {self.expression}"

    def holds_for(self, word: str) -> bool:
        """Whether a value that is just this word, in ASCII lower case, is found."""
        if any(term.holds_for(word) for term in self.excluded):
            return False
        if self.required:
            return all(term.holds_for(word) for term in self.required)
        return any(term.holds_for(word) for term in self.optional)


NOTHING = Search()


def bare(word: str) -> str:
    """A word without case and accents, as the index compares it."""
    return "".join(char for char in normalize("NFKD", word.lower()) if not combining(char))


def _findable(word: str) -> bool:
    return SHORTEST_WORD <= len(word) <= LONGEST_WORD and bare(word) not in STOP_WORDS


def parse(text: str) -> Search | None:
    """The meaning of a search text; None when it is no search (empty, or a lone `*`).

    Words are what lies between characters that are no letters, digits or underscores. `+word` is required, `-word`
    excluded, `word*` a beginning and `"some words"` a phrase; an operator counts only in front of its word, so a hyphen
    between two words just parts them. Two operators on one word, or a quote that is never closed, make a search that
    finds nothing, and so does one of words that are not indexed.
    """
    text = text.strip()
    if text in ("", "*"):
        return None
    required: dict[Term, None] = {}
    optional: dict[Term, None] = {}
    excluded: dict[Term, None] = {}
    for match in _TERM.finditer(text):
        signs, phrase, word, star = match.groups()
        if (phrase is None and word is None) or (signs and len(signs) > 1):
            return NOTHING
        if phrase is not None:
            words = tuple(_WORD.findall(phrase))
            if not any(map(_findable, words)):
                continue
            term = Term(words)
        else:
            if len(word) > LONGEST_WORD or (not star and not _findable(word)):
                continue
            term = Term((word,), bool(star))
        {"+": required, "-": excluded}.get(signs, optional)[term] = None
    return Search(tuple(required), tuple(optional), tuple(excluded))


def condition(scope: str, search: Search, id_sql: str, *, packed: bool) -> tuple[str, list[Value]]:
    """SQL that holds for the rows of a place which a search finds, and its values."""
    if search.finds_nothing:
        return "0", []
    found = f"rowid >> {VALUE_BITS}" if packed else f"printf('%013x', rowid >> {VALUE_BITS})"
    return (
        f"{id_sql} IN (SELECT {found} FROM search WHERE search MATCH ?)",
        [search.match(scope)],
    )


def clause(scope: str, text: str, id_sql: str, *, packed: bool) -> tuple[str, list[Value]] | None:
    """SQL that holds for the rows of a place which a search text finds, and its values; None when it is no search.

    `id_sql` is the column of the ids: packed integers, or text.
    """
    search = parse(text)
    return None if search is None else condition(scope, search, id_sql, packed=packed)


def _escape(match: re.Match[str]) -> str:
    return "".join(f"_{byte:02x}" for byte in match[0].encode())


_NOT_PLAIN = re.compile(r"[^a-z0-9]+")


def scope_of(kind: str, owner: str) -> str:
    """The word for a place: a kind of resource (lower-case letters) and the id of its owner, whatever its characters.

    Different places have different words, although the index ignores case.
    """
    return f"{kind}_{_NOT_PLAIN.sub(_escape, owner)}"


def indexed_values(values: Iterable[str]) -> list[str]:
    """The values that get a row, each once."""
    has_word = _FINDABLE.search
    kept = list(dict.fromkeys([value for value in values if has_word(value)]))
    if len(kept) > MOST_VALUES:
        kept[MOST_VALUES - 1 :] = ["\n".join(kept[MOST_VALUES - 1 :])]
    return kept


_ADD = "INSERT INTO search (rowid, scope, value) VALUES (?, ?, ?)"
_REMOVE = "INSERT INTO search (search, rowid, scope, value) VALUES ('delete', ?, ?, ?)"


class SearchIndex:
    """Writes the rows of the index. Whoever changes a resource names its values, before and after."""

    def add(self, tx: Transaction, scope: str, id: str, values: Iterable[str]) -> None:
        """Index the values of a new resource."""
        self._write(tx, _ADD, scope, id, indexed_values(values))

    def remove(self, tx: Transaction, scope: str, id: str, values: Iterable[str]) -> None:
        """Forget a resource; `values` are exactly those that it was indexed with, in the same order."""
        self._write(tx, _REMOVE, scope, id, indexed_values(values))

    def replace(
        self, tx: Transaction, scope: str, id: str, old_values: Iterable[str], new_values: Iterable[str]
    ) -> None:
        """Index the values of a resource that has changed; `old_values` as for `remove`."""
        old, new = indexed_values(old_values), indexed_values(new_values)
        self._write(tx, _REMOVE, scope, id, old, lambda n: n >= len(new) or new[n] != old[n])
        self._write(tx, _ADD, scope, id, new, lambda n: n >= len(old) or new[n] != old[n])

    @staticmethod
    def _write(
        tx: Transaction,
        sql: str,
        scope: str,
        id: str,
        values: Sequence[str],
        concerns: Callable[[int], bool] | None = None,
    ) -> None:
        base = pack(id) << VALUE_BITS
        rows = [(base | n, scope, value) for n, value in enumerate(values) if concerns is None or concerns(n)]
        if len(rows) == 1:
            tx.execute(sql, rows[0])
        elif rows:
            tx.execute_many(sql, rows)
