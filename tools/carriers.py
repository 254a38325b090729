"""Short credentials, followed through a run.

A credential of 8 characters or more is found by its value wherever it turns up. A shorter one would
be found all over the data by chance, so it is followed: a name of the scope that holds one is its
carrier, and what is made of a carrier and still shows the credential's text carries it on, to later
steps and child runs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tools.redaction import MINIMUM_SECRET_LENGTH, secret_forms
from tools.system import System

__all__ = ["NOTHING_CARRIED", "Carriers", "TakenCredential", "shown_in"]

#: Base64 of fewer characters than this says nothing.
_SHORTEST_BASE64 = 3


@dataclass(frozen=True)
class TakenCredential:
    """A credential that goes into a value: what it is called in messages, and its value."""

    label: str
    value: str = field(repr=False)
    #: The system it belongs to; none of a run-time credential.
    owner: System | None = field(default=None, repr=False, compare=False)

    @property
    def is_short(self) -> bool:
        """Whether it is not known by its value."""
        return 0 < len(self.value) < MINIMUM_SECRET_LENGTH


#: Names of a scope, and the short credentials that each may hold.
Carriers = Mapping[str, frozenset[TakenCredential]]

NOTHING_CARRIED: frozenset[TakenCredential] = frozenset()


def shown_in(text: str, credentials: Iterable[TakenCredential]) -> frozenset[TakenCredential]:
    """Those of the credentials that went into a text which it shows, in any form."""
    return frozenset(
        one
        for one in credentials
        if any(form in text for form in secret_forms(one.value, _SHORTEST_BASE64))
    )
