"""A run gives the same numbers on this machine, in podman and in Apptainer, to the last bit."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from relatent.specs.catalog import Catalog

from .conftest import Place, snakemake


def results(root: Path, place: Place) -> tuple[dict[str, str], str | None]:
    """sha256 of the evaluation data of one trained and one rendered run, and the image in the run's manifest."""
    jobs = Catalog.load(root).jobs("smoke", "smac_fig4")
    run = next(job.run for job in jobs if (job.algorithm, job.task) == ("sac", "cartpole_swingup"))
    done = snakemake(root, place, f"{run}/returns.csv", "frames.npy")
    assert done.returncode == 0, done.stdout + done.stderr
    files = (f"{run}/returns.csv", f"{run}/probes.npz", "frames.npy")
    digests = {Path(name).name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in files}
    manifest = json.loads((root / run / "manifest.json").read_text())
    for made in ("runs", "frames.npy", ".snakemake"):
        path = root / made
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return digests, manifest["image"]


def test_host_podman_and_apptainer(
    clone: Path,
    image: str,
    host: Place,
    in_podman: Place,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = {place.name: results(clone, place) for place in (host, in_podman)}
    assert (found["host"][1], found["podman"][1]) == (None, image)
    try:
        assert found["podman"][0] == found["host"][0]
        found["Apptainer"] = results(clone, request.getfixturevalue("in_apptainer"))
        assert found["Apptainer"] == (found["host"][0], image)
    finally:
        with capsys.disabled():
            print()
            for name in found["host"][0]:
                print(
                    f"{name:12}", *(f"{place} {digests[name][:16]}" for place, (digests, _) in found.items()), sep="  "
                )
