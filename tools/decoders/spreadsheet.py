"""XLSX workbooks: each sheet as a list of objects by its header row."""

import datetime
import io
from collections.abc import Iterator
from typing import Any

from tools.decoders.archive import check_archive
from tools.decoders.result import DecodeLimits, undecodable
from tools.decoders.table import rows_by_header
from tools.errors import ErrorKind, RunError
from tools.json_text import Json, JsonObject

__all__ = ["decode_xlsx"]

#: Rows of all sheets, blank ones included; one sheet of Excel can have 1,048,576.
_MAX_ROWS_WITH_BLANKS = 4 * 1_048_576


def decode_xlsx(body: bytes, label: str, limits: DecodeLimits) -> tuple[JsonObject, list[str]]:
    """`{sheet name: rows}` and warnings; formulas give the value that was saved with them.

    Dates are ISO 8601 text. Raises `RunError`: decode where it is no workbook, size_limit over
    the bounds of archives and tables.
    """
    import openpyxl

    check_archive(body, label, limits)
    sheets: JsonObject = {}
    warnings: list[str] = []
    budget = _Budget(limits)
    try:
        workbook: Any = openpyxl.load_workbook(
            io.BytesIO(body), read_only=True, data_only=True, keep_links=False
        )
        try:
            for sheet in workbook.worksheets:
                # The size a sheet states is not to be trusted: it pads every row to its width.
                sheet.reset_dimensions()
                rows, remarks = rows_by_header(budget.records(sheet), limits, missing=None)
                sheets[sheet.title] = rows
                warnings += [f"{sheet.title}: {remark}" for remark in remarks]
        finally:
            workbook.close()
    except RunError:
        raise
    except Exception as error:  # openpyxl raises whatever a broken part leads to
        raise undecodable(
            label, "an XLSX workbook", f"{type(error).__name__}: {error}", ""
        ) from None
    return sheets, warnings


class _Budget:
    """Counts rows and cells over all sheets of a workbook."""

    def __init__(self, limits: DecodeLimits) -> None:
        self._limits = limits
        self._rows = 0
        self._cells = 0

    def records(self, sheet: Any) -> Iterator[list[Json]]:
        """The rows of a sheet, without the empty cells at their ends."""
        for record in sheet.iter_rows(values_only=True):
            # Rows that are left out of the file are counted too: a row number can be any integer.
            self._rows += 1
            self._cells += len(record)
            if self._rows > _MAX_ROWS_WITH_BLANKS or self._cells > self._limits.max_cells:
                raise RunError(
                    ErrorKind.SIZE_LIMIT,
                    f"The workbook has more than {_MAX_ROWS_WITH_BLANKS} rows or "
                    f"{self._limits.max_cells} cells.",
                )
            values = [_cell(value) for value in record]
            while values and values[-1] is None:
                values.pop()
            yield values


def _cell(value: Any) -> Json:
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    return str(value)
