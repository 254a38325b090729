"""Tries the official JSON Schema test suite as `inputSchema`: nothing may raise.

    pip download --no-deps --no-binary jsonschema jsonschema
    python scripts/schema_suite.py jsonschema-*.tar.gz

The suite is in the source distribution of `jsonschema`. Each schema of draft 2020-12 is checked,
compiled, filled, loosened and published, and each of its values validated. A verdict that differs
from the suite's is printed; formats differ on purpose, because callslip enforces them.
"""

import json
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.schema import check_schema, compile_schema, dereference, fill_defaults, loosen

_FOLDER = "/json/tests/draft2020-12/"


def groups(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every group of tests: a schema with values, and where it stands."""
    with tarfile.open(path) as archive:
        for member in archive:
            if _FOLDER in member.name and member.name.endswith(".json"):
                file = archive.extractfile(member)
                assert file is not None
                for group in json.load(file):
                    yield member.name.partition(_FOLDER)[2], group


def main() -> None:
    """Run the suite and print what was seen."""
    schemas = refused = values = 0
    differing: list[str] = []
    for place, group in groups(Path(sys.argv[1])):
        schemas += 1
        schema = group["schema"]
        if check_schema(schema, root_must_be_object=False):
            refused += 1
            continue
        dereference(schema)
        for test in group["tests"]:
            values += 1
            fill_defaults(schema, test["data"])
            compile_schema(loosen(schema)).problems(test["data"])
            if (not compile_schema(schema).problems(test["data"])) != test["valid"]:
                differing.append(f"{place}: {group['description']}: {test['description']}")
    print(f"{schemas} schemas, {refused} refused when stored, {values} values, no exception")
    print(f"{len(differing)} verdicts differ:")
    for line in differing:
        print(f"  {line}")


if __name__ == "__main__":
    main()
