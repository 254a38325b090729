"""Near misses: what the author of a misspelt name probably meant."""

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean"]

#: Names longer than this are not compared: a near miss of one is not a spelling mistake.
_MAX_NAME_CHARS = 200
#: Candidates compared; the comparison is quadratic in the length of a name.
_MAX_CANDIDATES = 2_000


def did_you_mean(seen: str, known: Iterable[str]) -> str | None:
    """The name of `known` that `seen` is closest to, or None when none is close.

    Letter case, `_` and `-` do not count as differences. Never raises.
    """
    if not seen or len(seen) > _MAX_NAME_CHARS:
        return None
    candidates: dict[str, str] = {}
    for name in known:
        if len(name) <= _MAX_NAME_CHARS:
            candidates.setdefault(_plain(name), name)
        if len(candidates) >= _MAX_CANDIDATES:
            break
    plain = _plain(seen)
    if plain in candidates:
        return candidates[plain]
    matches = difflib.get_close_matches(plain, candidates, n=1, cutoff=0.65)
    return candidates[matches[0]] if matches else None


def _plain(name: str) -> str:
    return name.casefold().replace("_", "").replace("-", "")
