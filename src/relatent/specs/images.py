"""Which container image runs are made in, and what pins it.

containers/images.yaml holds for each variant of the image its id, which is a digest of all it contains, and what the id
follows from: the recipe in containers/, the base, and the versions of Debian's packages, which are listed in
containers/apt-versions-<variant>.txt. Same recipe, base and list: the same id, whoever builds it.
"""

import hashlib
import re
from pathlib import Path
from typing import Annotated

from pydantic import Field

from relatent.specs.closed import Closed
from relatent.specs.errors import RelatentError, unknown
from relatent.specs.files import write_atomic
from relatent.specs.loading import check, read_yaml

FILE = "containers/images.yaml"
VARIANTS = ("cpu", "cuda")
HEADER = "# Written by `make image-pin`; see docs/containers.md.\n"
LOCKS = ("requirements.lock", "torch-{variant}.lock")
RECIPE = ("Dockerfile", "mkbase.sh", *LOCKS)

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
REGISTRY = re.compile(r"docker://[^@\s]+@(sha256:[0-9a-f]{64})")
LOCAL = re.compile(r"docker://(sha256:[0-9a-f]{64})")
SIF = re.compile(r"(?:.*/)?relatent-[a-z]+-([0-9a-f]{12})\.sif")


class Pin(Closed):
    """One variant of the image."""

    id: Digest
    base: str
    """What it is built on: `debian`, made here from Debian's packages, or the name of an image."""
    packages: Digest
    """Of the list of Debian packages."""
    recipe: Digest
    """Of the files in containers/ that it is built from."""
    registry: Digest | None = None
    """Under which a registry has it, if it was pushed: other than the id, because a registry compresses layers."""


class Images(Closed):
    images: dict[str, Pin]


def read_pins(root: Path) -> dict[str, Pin]:
    """The pin of every variant that has one. Raises SpecError at a mistake in the file."""
    path = root / FILE
    if not path.is_file():
        return {}
    document = read_yaml(path, root)
    images = check(Images, document).images
    for variant in images:
        if variant not in VARIANTS:
            raise document.error(["images", variant], unknown("variant", variant, VARIANTS))
    return images


def write_pins(root: Path, pins: dict[str, Pin]) -> None:
    """Replace the file of pins."""
    lines = [HEADER, "images:\n"]
    for variant, pin in sorted(pins.items()):
        lines.append(f"  {variant}:\n")
        lines += [f"    {key}: {value}\n" for key, value in pin.model_dump(exclude_none=True).items()]
    write_atomic(root / FILE, "".join(lines))


def pinned_digests(root: Path) -> set[str]:
    """What a run's manifest names when it was made in a pinned image."""
    return {digest for pin in read_pins(root).values() for digest in (pin.id, pin.registry) if digest}


def package_list(variant: str) -> str:
    """The file that lists the versions of Debian's packages in an image."""
    return f"containers/apt-versions-{variant}.txt"


def recipe_digest(root: Path, variant: str) -> str:
    """Of the content of all files that an image is built from."""
    digests = [file_digest(root / "containers" / name.format(variant=variant)) for name in RECIPE]
    return f"sha256:{hashlib.sha256(' '.join(digests).encode()).hexdigest()}"


def lock_digests(root: Path, variant: str) -> dict[str, str]:
    """sha256 of the locks that an image of this clone carries in /opt/relatent, by name."""
    names = [name.format(variant=variant) for name in LOCKS]
    return {name: file_digest(root / "containers" / name) for name in names}


def file_digest(path: Path) -> str:
    """sha256 of a file, in hexadecimal."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise RelatentError(f"{path}: cannot be read: {error.strerror}") from None


def image_digest(image: str) -> str | None:
    """The digest in a reference, or the part of it in a file's name; None where it has none, so that nothing is
    pinned."""
    for form in (REGISTRY, LOCAL, SIF):
        if match := form.fullmatch(image):
            return match[1]
    return None


def chosen_image(root: Path, given: str | None, variant: str, shim: bool) -> str:
    """What the rules declare: the image `given` on the command line, or else the pinned one of a variant, which is a
    file for Apptainer, and for podman and docker (`shim`) in their own store.

    Raises RelatentError when that is not pinned.
    """
    if given:
        if image_digest(given) is None:
            raise RelatentError(
                f"container={given}: not pinned, expected docker://NAME@sha256:DIGEST, docker://sha256:ID or "
                "relatent-VARIANT-<12 of its id>.sif"
            )
        return given
    if variant not in VARIANTS:
        raise RelatentError(f"variant={variant}: {unknown('variant', variant, VARIANTS)}")
    pins = read_pins(root)
    if variant not in pins:
        raise RelatentError(f"{FILE}: no pinned {variant} image; build and pin it: make image-pin VARIANT={variant}")
    digest = pins[variant].id
    return f"docker://{digest}" if shim else f"containers/relatent-{variant}-{digest[7:19]}.sif"
