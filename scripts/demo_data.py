"""Write the data sets of `vega_datasets` that the demo serves into a SQLite file.

Runs in the demo's own environment, which has `vega_datasets`: `demo_data.py FILE`.
"""

import csv
import sqlite3
import sys
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

_NUMBERS = {"latitude", "longitude", "precipitation", "temp_max", "temp_min", "wind"}


def _load(connection: sqlite3.Connection, table: str, file: str, key: str) -> int:
    """Make a table of a CSV file; how many rows it has."""
    with Path(file).open(encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines)
        columns = list(reader.fieldnames or ())
        types = (
            f"{column} {'REAL' if column in _NUMBERS else 'TEXT'}"
            f"{' PRIMARY KEY' if column == key else ''}"
            for column in columns
        )
        connection.execute(f"CREATE TABLE {table} ({', '.join(types)})")
        marks = ", ".join("?" for _ in columns)
        insert = f"INSERT INTO {table} VALUES ({marks})"  # noqa: S608 (names of our own)
        rows = (
            [
                row[column].replace("/", "-") if column == "date" else row[column]
                for column in columns
            ]
            for row in reader
        )
        return connection.executemany(insert, rows).rowcount


def main() -> None:
    """Write the file named on the command line."""
    # Not installed where the project is checked.
    data: Any = import_module("vega_datasets").local_data
    with closing(sqlite3.connect(sys.argv[1])) as connection, connection:
        airports = _load(connection, "airports", data.airports.filepath, "iata")
        connection.execute("CREATE INDEX airports_by_state ON airports (state)")
        days = _load(connection, "weather", data.seattle_weather.filepath, "date")
    print(f"{airports} airports of the USA, {days} days of Seattle weather")


if __name__ == "__main__":
    main()
