"""What Snakemake is asked for, looked at before it says of a misspelt figure that no rule makes it."""

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from relatent.specs.catalog import Catalog
from relatent.specs.consistency import PAPER
from relatent.specs.errors import RelatentError, SpecError, unknown
from relatent.specs.verdicts import verdict_words

FOLDER = "paper_figures"
EXTENSIONS = ("pdf", "svg", "csv", "json")  # of the rules draw and publish


def asked(targets: Iterable[str]) -> Iterator[tuple[str, str, PurePosixPath]]:
    """Those that are a figure's: as they were given, the budget, the file."""
    for target in targets:
        file = PurePosixPath(target)
        folder, *budget = file.parent.parts or ("",)
        if folder == FOLDER and len(budget) <= 1:
            yield target, budget[0] if budget else PAPER, file


def drawn(targets: Iterable[str]) -> list[str]:
    """What the figures that were asked for say, a line each: `FILE: 2 supported`. Both lie in the current folder."""
    return [
        f"{target}: {verdict_words(Path('results') / budget / f'{file.stem}.check.json')}"
        for target, budget, file in asked(targets)
    ]


def check_targets(catalog: Catalog, targets: Iterable[str]) -> None:
    """Raises RelatentError with the first target that is meant to be a figure's and that no figure has. A file that is
    there, as of a figure that was renamed, needs no rule."""
    for target, budget, file in asked(targets):
        if Path(target).is_file():
            continue
        try:
            catalog.figure(budget, file.stem)
        except SpecError as error:
            raise RelatentError(f"{target}: {error}") from None
        if file.suffix.removeprefix(".") not in EXTENSIONS:
            raise RelatentError(f"{target}: {unknown('extension', file.suffix.removeprefix('.'), EXTENSIONS)}")
