"""Search over the words of inputs, errors and the first part of results.

The index holds words and places, not the texts: those stay in the documents of the run, from which
an entry can be made again to be taken out.
"""

import re
import sqlite3
from collections.abc import Sequence

from storage.blobs import load_document, unpack_text

__all__ = [
    "SEARCHED_BYTES",
    "SearchError",
    "drop_forgotten_words",
    "enqueue",
    "forget",
    "hold_waiting",
    "index_waiting",
    "match_expression",
]

#: How much of each text is searched.
SEARCHED_BYTES = 64 * 1024

#: Waiting runs that `hold_waiting` takes: a second or two.
_MOST_HELD = 2000
#: Pages of the index that are rewritten in one transaction: a few milliseconds.
_PAGES_AT_ONCE = 200
_TERM = re.compile(r'"([^"]*)"|(\S+)')
_MOST_TERMS = 20
_WORD = re.compile(r"\w")
#: In JSON text `\n` before a word is a line end and no part of the word.
_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|.)")


class SearchError(ValueError):
    """What is asked for cannot be searched; the message says what can."""


def match_expression(query: str) -> str:
    """A person's words as an FTS5 expression: every term must be there, the last as a prefix.

    Raises `SearchError`.
    """
    terms = [phrase or word for phrase, word in _TERM.findall(query.replace("\0", " "))]
    terms = [term for term in terms if _WORD.search(term)]
    if not terms:
        raise SearchError(f"search is {query!r}; valid are words, or a phrase in double quotes")
    if len(terms) > _MOST_TERMS:
        raise SearchError(f"search has {len(terms)} terms; at most {_MOST_TERMS} are valid")
    quoted = ['"{}"'.format(term.replace('"', " ")) for term in terms]
    if not query.rstrip().endswith('"'):
        quoted[-1] += " *"
    return f"{{inputs error result}} : ({' AND '.join(quoted)})"


def enqueue(connection: sqlite3.Connection, seq: int) -> None:
    """Have a run's words indexed, later."""
    connection.execute("INSERT OR IGNORE INTO search_queue VALUES (?)", (seq,))


def index_waiting(connection: sqlite3.Connection, limit: int) -> int:
    """Index up to `limit` of the runs that wait, the newest first; how many there were."""
    seqs = _waiting(connection, limit)
    for seq in seqs:
        if (texts := _texts(connection, seq)) is not None:
            connection.execute(
                "INSERT INTO run_search (rowid, tool, inputs, error, result) "
                "VALUES (?, ?, ?, ?, ?)",
                (seq, *texts),
            )
        connection.execute("DELETE FROM search_queue WHERE seq = ?", (seq,))
    return len(seqs)


def hold_waiting(connection: sqlite3.Connection) -> bool:
    """Index the runs that wait for this transaction alone, as `waiting_search`; whether any wait.

    For a database that can only be read.
    """
    seqs = _waiting(connection, _MOST_HELD)
    if seqs:
        connection.execute(
            "CREATE VIRTUAL TABLE temp.waiting_search "
            "USING fts5 (tool, inputs, error, result, content = '')"
        )
    for seq in seqs:
        if (texts := _texts(connection, seq)) is not None:
            connection.execute(
                "INSERT INTO waiting_search (rowid, tool, inputs, error, result) "
                "VALUES (?, ?, ?, ?, ?)",
                (seq, *texts),
            )
    return bool(seqs)


def forget(connection: sqlite3.Connection, seq: int) -> None:
    """Take a run's words out, before its documents go."""
    if connection.execute("DELETE FROM search_queue WHERE seq = ?", (seq,)).rowcount:
        return
    if (texts := _texts(connection, seq)) is not None:
        # https://www.sqlite.org/fts5.html#the_delete_command
        connection.execute(
            "INSERT INTO run_search (run_search, rowid, tool, inputs, error, result) "
            "VALUES ('delete', ?, ?, ?, ?, ?)",
            (seq, *texts),
        )


def drop_forgotten_words(connection: sqlite3.Connection, *, begins: bool) -> bool:
    """Rewrite a piece of the index without what was forgotten; whether there is more to do.

    `forget` only marks words as gone. `begins` is set in the first of the calls that rewrite all of
    it: https://www.sqlite.org/fts5.html#the_merge_command
    """
    before = connection.total_changes
    pages = -_PAGES_AT_ONCE if begins else _PAGES_AT_ONCE
    connection.execute("INSERT INTO run_search (run_search, rank) VALUES ('merge', ?)", (pages,))
    return connection.total_changes - before > 1


def _waiting(connection: sqlite3.Connection, limit: int) -> list[int]:
    """The newest runs that are not indexed yet."""
    rows = connection.execute("SELECT seq FROM search_queue ORDER BY seq DESC LIMIT ?", (limit,))
    return [row[0] for row in rows]


def _texts(connection: sqlite3.Connection, seq: int) -> Sequence[str] | None:
    """The words of tool, inputs, error and result; the same every time for an ended run."""
    row = connection.execute(
        """SELECT tool_id, inputs, error, result, result_head
           FROM runs JOIN run_details USING (seq) WHERE seq = ?""",
        (seq,),
    ).fetchone()
    if row is None:
        return None
    tool_id, inputs, error, result, head = row
    try:
        shown = load_document(connection, inputs) or b""
        found = load_document(connection, result) or b"" if head is None else unpack_text(head)
    except sqlite3.DatabaseError:
        # What cannot be read whole cannot be taken out again.
        return None
    return (str(tool_id), _words(shown), str(error or "")[:SEARCHED_BYTES], _words(found))


def _words(json_text: bytes) -> str:
    return _ESCAPE.sub(" ", json_text[:SEARCHED_BYTES].decode("utf-8", "replace"))
