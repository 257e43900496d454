"""Where a figure comes from: the manifests of its runs, merged, with what was wanted and what came out."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import Any

from relatent.figures.drawing import Drawing, run_parts
from relatent.figures.gather import Gathered


def figure_manifest(
    drawing: Drawing, gathered: Gathered, check: dict[str, Any], files: dict[str, bytes]
) -> dict[str, Any]:
    """The content of <figure>.json. Holds no time of its own, so that drawing again changes nothing."""
    manifests = [run["manifest"] for run in gathered.runs]
    return {
        "figure": drawing.figure,
        "paper": drawing.paper,
        "paper_title": drawing.paper_title,
        "title": drawing.title,
        "caption": drawing.caption,
        "kind": drawing.kind,
        "budget": {"name": drawing.budget.name, "reduced": drawing.budget.reduced},
        "origin_ours": drawing.origin,
        "partial": gathered.partial,
        "runs_drawn": len(gathered.runs),
        "runs_wanted": len(gathered.runs) + len(gathered.missing),
        "seeds_drawn": seeds_drawn(gathered),
        "seeds_wanted": drawing.seeds_wanted,
        "claims": check["claims"],
        "reference": check["reference"],
        "aggregate": check["aggregate"],
        "commits": commits(manifests),
        "dirty": any(manifest.get("dirty") is not False for manifest in manifests),
        "lock_sha256": tally(manifest.get("lock_sha256") for manifest in manifests),
        "images": tally(manifest.get("image") for manifest in manifests),
        "cpus": tally(manifest.get("hardware", {}).get("cpu") for manifest in manifests),
        "gpus": tally(gpu for manifest in manifests for gpu in gpus(manifest)),
        "torch": tally(manifest.get("software", {}).get("torch") for manifest in manifests),
        "frames": sum(manifest.get("frames") or 0 for manifest in manifests),
        "resumes": sum(manifest.get("resumes") or 0 for manifest in manifests),
        "hours": hours(manifests),
        "started": min((one["started"] for one in manifests if one.get("started")), default=None),
        "finished": max((one["finished"] for one in manifests if one.get("finished")), default=None),
        "files_sha256": {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())},
        "runs": [described(run) for run in gathered.runs],
        "missing": gathered.missing,
        "diverged": gathered.diverged,
    }


def seeds_drawn(gathered: Gathered) -> int:
    """Seeds that the worst-off algorithm and task has."""
    counts = Counter((run["algorithm"], run["task"]) for run in gathered.runs)
    for run in gathered.missing:
        counts[run_parts(run)[:2]] += 0
    return min(counts.values(), default=0)


def commits(manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each commit that trained some of the runs, with how many, and how many of these from a changed tree.

    `dirty: null` in a run's manifest says that nobody knows, which counts as changed.
    """
    runs = Counter(manifest.get("commit") for manifest in manifests)
    dirty = Counter(manifest.get("commit") for manifest in manifests if manifest.get("dirty") is not False)
    return [{"commit": name, "runs": runs[name], "dirty_runs": dirty[name]} for name in sorted(runs, key=str)]


def tally(values: Iterable[str | None]) -> dict[str, int]:
    """How many runs have which value; `none` where a manifest has none."""
    return dict(sorted(Counter(value or "none" for value in values).items()))


def gpus(manifest: dict[str, Any]) -> list[str]:
    """The GPU that a run trained on; none of a run on the CPU."""
    return manifest.get("hardware", {}).get("gpus") or []


def hours(manifests: list[dict[str, Any]]) -> dict[str, float]:
    """Wall hours of all runs, by whether they trained on a GPU. A run has one thread, so `cpu` is its core hours."""
    spent = {"cpu": 0.0, "gpu": 0.0}
    for manifest in manifests:
        spent["gpu" if gpus(manifest) else "cpu"] += sum(manifest.get("phase_seconds", {}).values()) / 3600
    return {kind: round(value, 4) for kind, value in spent.items()}


def described(run: dict[str, Any]) -> dict[str, Any]:
    """One run: which it is, and by what it was made, with its whole spec, so that it can be trained again."""
    manifest = run["manifest"]
    made = {key: manifest.get(key) for key in ("commit", "dirty", "frames", "resumes", "finished", "spec")}
    return {key: run[key] for key in ("run", "algorithm", "task", "seed", "digest")} | made
