"""What Snakemake is asked for, looked at before it says of a misspelt figure that no rule makes it."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from relatent.specs.catalog import Catalog
from relatent.specs.consistency import PAPER
from relatent.specs.errors import RelatentError, SpecError, unknown

FOLDER = "paper_figures"
EXTENSIONS = ("pdf", "svg", "csv", "json")  # of the rules draw and publish


def check_targets(catalog: Catalog, targets: Iterable[str]) -> None:
    """Raises RelatentError with the first target that is meant to be a figure's and that no figure has. A file that is
    there, as of a figure that was renamed, needs no rule."""
    for target in targets:
        file = PurePosixPath(target)
        folder, *budget = file.parent.parts or ("",)
        if folder != FOLDER or len(budget) > 1 or Path(target).is_file():
            continue
        try:
            catalog.figure(budget[0] if budget else PAPER, file.stem)
        except SpecError as error:
            raise RelatentError(f"{target}: {error}") from None
        if file.suffix.removeprefix(".") not in EXTENSIONS:
            raise RelatentError(f"{target}: {unknown('extension', file.suffix.removeprefix('.'), EXTENSIONS)}")
