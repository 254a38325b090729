"""The surfaces: command line, MCP, and what they share. The only package that speaks to anyone."""

import importlib.util
from pathlib import Path

_HOME = Path(__file__).resolve().parent.parent
for _name in ("tools", "storage"):
    _spec = importlib.util.find_spec(_name)
    _found = Path(_spec.origin).resolve().parent if _spec and _spec.origin else None
    if _found != _HOME / _name:
        # These names are short; a folder or package of the same name may stand before ours.
        raise ImportError(
            f"callslip needs its own package {_name!r} in {_HOME}, but Python finds {_found}. "
            "Install callslip in an environment of its own (uvx, uv tool install, pipx), and start "
            "it with the `callslip` command."
        )
