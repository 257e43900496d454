"""Prints which terms of the common objective each method has."""

from rich.console import Console
from rich.table import Table

from relatent.objectives.methods import table


def show(console: Console) -> None:
    """Term by term, so that methods can be compared; after the arrow: what the term's gradient reaches."""
    heading, *methods = table()
    printed = Table("term", "method", "its form -> what it trains", box=None, pad_edge=False)
    for column, term in enumerate(heading[1:], 1):
        for number, method in enumerate(methods):
            name = f"[bold]{term}[/bold]" if number == 0 else ""
            style = "dim" if method[column].split(":")[0] in ("no", "none") else None
            printed.add_row(name, method[0], method[column], style=style, end_section=number == len(methods) - 1)
        printed.add_section()
    console.print(printed)
