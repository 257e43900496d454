"""Errors that are the user's to mend. Their text is one line that says where, what and what was expected."""

from collections.abc import Iterable
from difflib import get_close_matches


class RelatentError(Exception):
    """The command line prints its text and exits with 2; a traceback would help nobody."""


class SpecError(RelatentError):
    """Something in config/ is wrong: `file:line: path: what was found, what was expected`."""


def unknown(what: str, name: object, known: Iterable[str]) -> str:
    """`unknown task 'wlaker_run', did you mean 'walker_run'?` or the list of what there is."""
    known = sorted(known)
    close = get_close_matches(str(name), known, n=1)
    if close:
        return f"unknown {what} {name!r}, did you mean {close[0]!r}?"
    return f"unknown {what} {name!r}, expected one of {', '.join(known) or 'none'}"
