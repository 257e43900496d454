"""A list of run folders to one tidy parquet file, and back.

Columns: algorithm, task, seed, digest, phase, frames, episode, measure, value. `return` and `success` come from
returns.csv; every array of probes.npz is a measure of its own in phase `probe`. A probe that gives X_estimate and
bounds of the truth, X_lower and X_upper, also has X_excess_least and X_excess_most: how far the estimate lies above the
truth. The runs' manifests and the list of missing runs travel in the file's metadata, so that whoever holds the parquet
can draw the figure and say what backs it.
"""

import io
import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from relatent.figures.drawing import run_parts
from relatent.specs.canonical import canonical
from relatent.specs.canonical import digest as spec_digest
from relatent.specs.errors import RelatentError
from relatent.specs.files import write_atomic

COLUMNS = ["algorithm", "task", "seed", "digest", "phase", "frames", "episode", "measure", "value"]
METADATA = b"relatent"


@dataclass(frozen=True)
class Gathered:
    frame: pd.DataFrame
    runs: list[dict[str, Any]]
    """One a run: run, algorithm, task, seed, digest, manifest."""
    missing: list[str]
    """Run folders that were asked for and are not finished."""
    diverged: list[str]
    """Those of them whose training ended because a number became NaN."""

    @property
    def partial(self) -> bool:
        return bool(self.missing)


def gather(run_list: Path, out: Path, partial: bool = False) -> None:
    """Read every run that `run_list` names, one folder a line. Unfinished runs are an error unless `partial`."""
    wanted = [Path(line) for line in Path(run_list).read_text().splitlines() if line.strip()]
    # returns.csv is renamed into place last, so it marks a finished run.
    missing = [run for run in wanted if not (run / "returns.csv").is_file()]
    if missing and not partial:
        raise RelatentError(
            f"{run_list}: {len(missing)} of {len(wanted)} runs are not finished, first {missing[0]}; "
            f"train them, or gather with --partial to draw what there is"
        )
    if len(missing) == len(wanted):
        raise RelatentError(f"{run_list}: none of its {len(wanted)} runs is finished, so there is nothing to draw")
    tables, runs = [], []
    for run in wanted:
        if run in missing:
            continue
        algorithm, task, seed, digest = run_parts(run)
        identity: dict[str, Any] = {"algorithm": algorithm, "task": task, "seed": seed, "digest": digest}
        manifest = read_manifest(run / "manifest.json")
        if digest != spec_digest(canonical(manifest["spec"])) or seed != manifest["spec"].get("seed"):
            raise RelatentError(f"{run}: its manifest is of another run than its folder's name says")
        check_files(run, manifest)
        found = [episodes(run / "returns.csv"), *probes(run)]
        check_evaluations(run, manifest, found[0])
        tables += [table.assign(**identity) for table in found if not table.empty]
        runs.append({"run": run.as_posix(), **identity, "manifest": manifest})
    if not tables:
        raise RelatentError(f"{run_list}: its runs recorded neither returns nor probes")
    absent = [run.as_posix() for run in missing]
    diverged = [run.as_posix() for run in missing if has_diverged(run)]
    write_gathered(Path(out), pd.concat(tables, ignore_index=True), runs, absent, diverged)


def check_files(run: Path, manifest: dict[str, Any]) -> None:
    """Refuse a finished run whose files are not those that it wrote. Early manifests have no digests.

    It is done before they are parsed: a file that was changed need not be of its kind any more.
    """
    for name, stated in manifest.get("files_sha256", {}).items():
        if not (run / name).is_file() or sha256((run / name).read_bytes()).hexdigest() != stated:
            raise RelatentError(f"{run / name}: not the file that the run wrote, by the sha256 in its manifest")


def check_evaluations(run: Path, manifest: dict[str, Any], returns: pd.DataFrame) -> None:
    """Refuse an agent's finished run without its last evaluation."""
    if "study" in manifest["spec"]:
        return
    frames, every = manifest["frames"], manifest["spec"]["training"]["eval_every"]
    last = max(returns.loc[returns["phase"] == "eval", "frames"], default=None)
    if last is None or last // every < frames // every:
        raise RelatentError(
            f"{run / 'returns.csv'}: cut short: its last evaluation is at frame {last} of {frames} frames, "
            f"expected one every {every}"
        )


def has_diverged(run: Path) -> bool:
    """Whether the last that an unfinished run said is that a number became NaN. It would at every new attempt."""
    log = run / "train.log"
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    return bool(lines) and " is nan at frame " in lines[-1]


def episodes(path: Path) -> pd.DataFrame:
    """Returns and, where defined, successes of one run, tidy."""
    try:
        table = pd.read_csv(path, float_precision="round_trip")
        wide = table[["phase", "frames", "episode", "return", "success"]]
        tidy = wide.melt(id_vars=["phase", "frames", "episode"], var_name="measure")
        tidy = tidy.astype({"frames": int, "episode": int, "value": float})
    except (KeyError, ValueError) as error:
        raise RelatentError(f"{path}: expected columns phase,frames,episode,return,success ({error})") from None
    return tidy[(tidy["measure"] == "return") | tidy["value"].notna()]


def probes(run: Path) -> list[pd.DataFrame]:
    """Every array of a run's probes.npz: X (n,) as measure X, X (n, d) as X_0 .. X_{d-1}, a row per first index.

    Pictures, X (n, height, width, 3), are X_0 .. X_{n-1}, a row per number, in the array's order.
    """
    path = run / "probes.npz"
    tables: list[pd.DataFrame] = []
    if not path.is_file():
        return []
    last = pd.read_csv(run / "returns.csv", usecols=["frames"])["frames"].max()
    with np.load(path, allow_pickle=False) as stored:
        arrays = dict(stored)
    arrays |= excesses(arrays)
    for name in sorted(arrays):
        if name.endswith("_frames"):
            continue
        array = np.atleast_1d(arrays[name])
        if array.ndim not in (1, 2, 4):
            raise RelatentError(f"{path}: {name} has {array.ndim} dimensions, expected 1 or 2, or 4 of pictures")
        frames = arrays.get(f"{name}_frames", np.full(len(array), last))
        for measure, column, at in measures(name, array, frames):
            tables.append(
                pd.DataFrame(
                    {
                        "phase": "probe",
                        "frames": np.nan_to_num(at),
                        "episode": np.arange(len(column)),
                        "measure": measure,
                        "value": column.astype(float),
                    }
                )
            )
    return tables


def excesses(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """How far estimates lie above the truth, at least and at most. NaN where an estimate and a bound are infinite."""
    found = {}
    for probe in [name.removesuffix("_estimate") for name in arrays if name.endswith("_estimate")]:
        for end, bound in (("least", f"{probe}_upper"), ("most", f"{probe}_lower")):
            if bound in arrays:
                with np.errstate(invalid="ignore"):
                    found[f"{probe}_excess_{end}"] = arrays[f"{probe}_estimate"] - arrays[bound]
                found[f"{probe}_excess_{end}_frames"] = arrays[f"{bound}_frames"]
    return found


def measures(name: str, array: np.ndarray, frames: np.ndarray) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """The measures that an array (n, ..) is, with their values and these values' frames. `frames` (n,)."""
    if array.ndim == 1:
        return [(name, array, frames)]
    if array.ndim == 2:
        return [(f"{name}_{column}", array[:, column], frames) for column in range(array.shape[1])]
    return [(f"{name}_{row}", one.ravel(), np.full(one.size, frames[row])) for row, one in enumerate(array)]


def read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise RelatentError(f"{path}: every finished run has a readable manifest ({error})") from None
    return manifest


def write_gathered(
    out: Path, frame: pd.DataFrame, runs: list[dict[str, Any]], missing: list[str], diverged: list[str]
) -> None:
    kinds = {"seed": "int64", "frames": "int64", "episode": "int64", "value": "float64"}
    about = {"runs": runs, "missing": missing, "diverged": diverged}
    table = pa.Table.from_pandas(frame[COLUMNS].astype(kinds), preserve_index=False)
    table = table.replace_schema_metadata({METADATA: json.dumps(about)})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    write_atomic(out, buffer.getvalue())


def read_gathered(path: Path) -> Gathered:
    table = pq.read_table(path)
    try:
        about = json.loads(table.schema.metadata[METADATA])
    except (KeyError, TypeError):
        raise RelatentError(f"{path}: not written by `relatent gather`") from None
    return Gathered(table.to_pandas(), about["runs"], about["missing"], about.get("diverged", []))
