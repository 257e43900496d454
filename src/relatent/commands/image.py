"""The pin of the image, for containers/build.sh: is what was built what containers/images.yaml says?

python -m relatent.commands.image current cpu                                              the pinned id
python -m relatent.commands.image compare cpu --id ID --base BASE --packages FILE          is this build it?
python -m relatent.commands.image renew cpu --id ID --base BASE --packages FILE            pin this build
"""

import argparse
import difflib
import sys
from pathlib import Path

from relatent.commands.pick import find_root
from relatent.specs.errors import RelatentError
from relatent.specs.files import write_atomic
from relatent.specs.images import FILE, VARIANTS, Pin, file_digest, package_list, read_pins, recipe_digest, write_pins

RENEW = "make image-pin renews the pin"


def current(root: Path, variant: str) -> str:
    """The pinned id, where it is still of the recipe in containers/.

    Raises RelatentError when there is no pin, or the recipe has moved since.
    """
    pin = read_pins(root).get(variant)
    if pin is None:
        raise RelatentError(f"{FILE}: no pinned {variant} image; {RENEW}")
    if pin.recipe != recipe_digest(root, variant):
        raise RelatentError(f"{FILE}: the {variant} image is of another Dockerfile or other locks; {RENEW}")
    return pin.id


def described(root: Path, variant: str, image: str, base: str, packages: Path) -> Pin:
    """The pin of an image that was built."""
    digest = f"sha256:{file_digest(packages)}"
    return Pin(
        id=f"sha256:{image.removeprefix('sha256:')}", base=base, packages=digest, recipe=recipe_digest(root, variant)
    )


def compare(root: Path, variant: str, built: Pin, packages: Path) -> list[str]:
    """Why an image that was built is not the pinned one, a line each; nothing where it is.

    What differs first of recipe, base and packages explains another id; if nothing, the build is not reproducible.
    """
    pin = read_pins(root).get(variant)
    if pin is None:
        return [f"no {variant} image is pinned in {FILE}; {RENEW}"]
    if pin.recipe != built.recipe:
        return [f"the Dockerfile or the locks changed since the {variant} image was pinned; {RENEW}"]
    if pin.base != built.base:
        return [f"the pinned {variant} image is built on {pin.base}, this on {built.base}; set BASE_IMAGE={pin.base}"]
    if pin.packages != built.packages:
        listed = root / package_list(variant)
        old = listed.read_text().splitlines() if listed.is_file() else []
        difference = difflib.unified_diff(old, packages.read_text().splitlines(), "pinned", "built", n=0, lineterm="")
        return [*difference, f"Debian's packages moved since the {variant} image was pinned; {RENEW}"]
    if pin.id != built.id:
        same = "of the same recipe, base and packages"
        return [
            f"built {built.id}, pinned {pin.id}, {same}: the build is not reproducible (docker's is not, use podman)"
        ]
    return []


def renew(root: Path, variant: str, built: Pin, packages: Path) -> None:
    """Make an image that was built the pinned one."""
    write_atomic(root / package_list(variant), packages.read_text())
    write_pins(root, {**read_pins(root), variant: built})


def main(arguments: list[str]) -> None:
    """Print the pinned id; or compare, where a difference ends in RelatentError; or renew."""
    parser = argparse.ArgumentParser(prog="relatent.commands.image", description=__doc__)
    parser.add_argument("action", choices=["current", "compare", "renew"])
    parser.add_argument("variant", choices=VARIANTS)
    parser.add_argument("--id")
    parser.add_argument("--base")
    parser.add_argument("--packages", type=Path)
    given = parser.parse_args(arguments)
    root = find_root()
    if given.action == "current":
        print(current(root, given.variant))
        return
    built = described(root, given.variant, given.id, given.base, given.packages)
    if given.action == "renew":
        renew(root, given.variant, built, given.packages)
        print(f"{FILE}: the pinned {given.variant} image is {built.id}")
        return
    *difference, reason = compare(root, given.variant, built, given.packages) or [""]
    print(*difference, sep="\n", end="\n" if difference else "")
    if reason:
        raise RelatentError(reason)
    print(f"the {given.variant} image is the pinned one: {built.id}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except RelatentError as error:
        sys.exit(f"error: {error}")
