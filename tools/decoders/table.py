"""Tables of text: CSV, TSV and the like, as a list of objects by the header row."""

import csv
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from io import StringIO
from itertools import chain, islice
from typing import TextIO

from tools.decoders.result import DecodeLimits
from tools.errors import ErrorKind, RunError
from tools.json_pieces import PIECE_BYTES
from tools.json_text import JsonObject

__all__ = ["column_names", "decode_table", "looks_like_table", "rows_by_header"]

_DELIMITERS = (",", ";", "\t", "|")
_SAMPLE_CHARS = 64_000
_SAMPLE_ROWS = 50


def decode_table(
    text: TextIO, limits: DecodeLimits, delimiter: str | None = None
) -> tuple[list[JsonObject], list[str]]:
    """The rows of a delimited text, all cells as strings, and warnings.

    The text is one that gives line ends as they are. Without a `delimiter` the one that makes the
    most even table is taken; `sep=;` on a line of its own, as spreadsheets write it, is obeyed.
    Raises `RunError` (size_limit, decode).
    """
    head = text.read(2 * _SAMPLE_CHARS) + text.readline()
    first, _, rest = head.partition("\n")
    if first.startswith("sep=") and len(first.rstrip("\r")) == 5:
        delimiter, head = first[4], rest
    delimiter = delimiter or _best_delimiter(head) or ","
    records = _records(chain(StringIO(head, newline=""), text), delimiter)
    return rows_by_header(records, limits, missing="")


def looks_like_table(text: TextIO) -> bool:
    """Whether a text is surely a table: two or more rows, all with the same two or more cells.

    Nothing of it is kept. One that has a row of `PIECE_BYTES` characters is not.
    """
    head = text.read(_SAMPLE_CHARS + 1)
    delimiter = _best_delimiter(head)
    if delimiter is None:
        return False
    read = 0

    def lines() -> Iterator[str]:
        nonlocal read
        start = StringIO(head + text.readline(PIECE_BYTES), newline="")
        for line in chain(start, iter(partial(text.readline, PIECE_BYTES), "")):
            read += len(line)
            if read >= PIECE_BYTES:
                raise _LongRowError
            yield line

    width = rows = 0
    try:
        for record in _records(lines(), delimiter):
            read = 0
            if not record:
                continue
            width = width or len(record)
            if len(record) != width:
                return False
            if not rows and (not all(cell.strip() for cell in record) or len(set(record)) < width):
                return False
            rows += 1
    except _LongRowError:
        return False
    return rows >= 2 and width >= 2


class _LongRowError(Exception):
    """A quote that is never closed, most likely."""


def _best_delimiter(text: str) -> str | None:
    """The delimiter that splits the first rows most evenly, None where none splits them."""
    sample = text[:_SAMPLE_CHARS]
    best: tuple[float, int] = (0.0, 0)
    chosen: str | None = None
    for delimiter in _DELIMITERS:
        if delimiter not in sample:
            continue
        rows = [
            row
            for row in islice(_records(StringIO(sample, newline=""), delimiter), _SAMPLE_ROWS)
            if row
        ]
        if len(sample) < len(text) and len(rows) > 1:
            rows = rows[:-1]
        width = len(rows[0]) if rows else 0
        if width < 2:
            continue
        even = sum(len(row) == width for row in rows) / len(rows)
        if (even, width) > best:
            best, chosen = (even, width), delimiter
    return chosen


def _records(lines: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    # The default bound on a field, 128 KB, is a setting of the whole module.
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    return csv.reader(lines, delimiter=delimiter)


def rows_by_header(
    records: Iterator[Sequence[object]] | Iterator[list[str]],
    limits: DecodeLimits,
    *,
    missing: object,
) -> tuple[list[JsonObject], list[str]]:
    """Rows as objects by the first row that is not blank, and warnings.

    Blank rows are skipped, absent cells are `missing`, cells beyond the header are kept as
    `column_<n>`. Raises `RunError` (size_limit over `max_rows` and `max_cells`).
    """
    names: list[str] = []
    rows: list[JsonObject] = []
    uneven = 0
    cells = 0
    for record in records:
        if not any(cell not in (None, "") for cell in record):
            continue
        cells += len(record)
        if cells > limits.max_cells or len(rows) > limits.max_rows:
            raise RunError(
                ErrorKind.SIZE_LIMIT,
                f"The table has more than {limits.max_rows} rows or {limits.max_cells} cells.",
            )
        if not names:
            names = column_names(record)
            continue
        # Spreadsheets leave out the empty cells at the end of a row.
        if len(record) > len(names) or (len(record) < len(names) and missing is not None):
            uneven += 1
        extra = [f"column_{n}" for n in range(len(names) + 1, len(record) + 1)]
        padding = [missing] * (len(names) - len(record))
        rows.append(dict(zip([*names, *extra], [*record, *padding], strict=True)))
    warnings = [f"{uneven} rows have more or fewer cells than the header."] if uneven else []
    return rows, warnings


def column_names(header: Sequence[object]) -> list[str]:
    """Trimmed names for the columns: `column_<n>` for a blank one, `_2` behind a repeated one."""
    names: list[str] = []
    taken: set[str] = set()
    for position, cell in enumerate(header, start=1):
        plain = "" if cell is None else str(cell).strip()
        name = plain = plain or f"column_{position}"
        count = 1
        while name in taken:
            count += 1
            name = f"{plain}_{count}"
        taken.add(name)
        names.append(name)
    return names
