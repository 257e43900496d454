"""Measures that runs do not record because they follow from what they do, for figures that show them and their claims.

A run's manifest has the seconds of each phase in total. What a phase had taken by some frame is its share of the
phase's events until then: environment steps from the first frame on, the agent's own actions after the random ones,
replay and updates after `update_after`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from relatent.figures.drawing import Drawing
from relatent.figures.gather import Gathered
from relatent.figures.series import curves, points, select
from relatent.figures.statistics import Array
from relatent.specs.figure import Kind

TRAINING = ("environment", "act", "replay", "update")
"""Phases of training itself; evaluations, checkpoints and logs are what one chooses to do beside it."""
SECONDS_PER_STEP, SECONDS_TO_MATCH, OPEN_LOOP_STEPS = "seconds_per_step", "seconds_to_match", "open_loop_steps"
OPEN_LOOP_ERROR = "open_loop_error"
PACE = ("environment_milliseconds", "act_milliseconds", "update_milliseconds", "frames_per_second")
MILLI = 1000.0
HALF = 0.5
"""Error of an open-loop prediction, as a share of the variance of z, up to which it is called accurate."""


def with_derived(gathered: Gathered, drawing: Drawing) -> pd.DataFrame:
    """The gathered table and, below it, the rows that follow from it, as a probe at each run's last frame."""
    derive = DERIVED.get(drawing.kind)
    rows = derive(gathered, drawing) if derive else []
    if not rows:
        return gathered.frame
    return pd.concat([gathered.frame, pd.DataFrame(rows).assign(phase="probe", episode=0)], ignore_index=True)


def training_seconds(manifest: dict[str, Any], frames: Array) -> Array:
    """Seconds of training up to each of `frames`."""
    spec, spent, whole = manifest["spec"], manifest["phase_seconds"], float(manifest["frames"])
    learning = spec["hyper"]["update_after"]
    begins = {"environment": 0, "act": spec["training"]["random_frames"], "replay": learning, "update": learning}
    # Where everything was random there was nothing to act or to learn.
    shares = {phase: np.clip((frames - start) / max(whole - start, 1.0), 0.0, 1.0) for phase, start in begins.items()}
    return np.sum([spent.get(phase, 0.0) * share for phase, share in shares.items()], axis=0)


def identity(run: dict[str, Any]) -> dict[str, Any]:
    """The columns by which a row of a table belongs to a run at its end."""
    return {**{key: run[key] for key in ("algorithm", "task", "seed", "digest")}, "frames": run["manifest"]["frames"]}


def seconds(gathered: Gathered, drawing: Drawing) -> list[dict[str, Any]]:
    """Of each run: seconds of training per environment step and, where there is an algorithm to match, the seconds
    until its return first reaches that algorithm's final mean; infinite where it never does. The matched algorithm's
    own are found alike; a seed of it that ends below the mean counts with its whole training."""
    rows = []
    for run in gathered.runs:
        manifest, who = run["manifest"], identity(run)
        whole = float(training_seconds(manifest, np.array([manifest["frames"]]))[0])
        rows.append({**who, "measure": SECONDS_PER_STEP, "value": whole / manifest["frames"]})
        level = final_mean(gathered.frame, drawing.look.matched, run["task"])
        if level is not None:
            reached = until(gathered.frame, run, level)
            reached = min(reached, whole) if run["algorithm"] == drawing.look.matched else reached
            rows.append({**who, "measure": SECONDS_TO_MATCH, "value": reached})
    return rows


def final_mean(frame: pd.DataFrame, algorithm: str | None, task: str) -> float | None:
    """The mean return at the end of an algorithm's curve; None where it was not trained."""
    curve = curves(frame, algorithm, task, "return", "eval") if algorithm else None
    return None if curve is None else float(curve.values[:, -1].mean())


def until(frame: pd.DataFrame, run: dict[str, Any], level: float) -> float:
    """Seconds of training until a run's evaluations first reach a level."""
    found = select(frame, run["algorithm"], run["task"], "return", "eval")
    curve = points(found[found["seed"] == run["seed"]])
    frames, values = curve.index.get_level_values("frames").to_numpy(float), curve.to_numpy(float)
    above = np.flatnonzero(values >= level)
    return float(training_seconds(run["manifest"], frames[above[:1]])[0]) if len(above) else float("inf")


def accurate_steps(gathered: Gathered, drawing: Drawing) -> list[dict[str, Any]]:
    """Of each run: for how many open-loop steps in a row the error stays within `HALF` of the variance of z."""
    found = gathered.frame[gathered.frame["measure"] == OPEN_LOOP_ERROR]
    found = found[found["algorithm"].isin(drawing.data.algorithms)]
    rows = []
    for (algorithm, task, seed, digest, frames), errors in found.groupby(
        ["algorithm", "task", "seed", "digest", "frames"]
    ):
        within = (errors.sort_values("episode")["value"] <= HALF).to_numpy()
        steps = len(within) if within.all() else int(np.argmin(within))
        who = {"algorithm": algorithm, "task": task, "seed": seed, "digest": digest, "frames": frames}
        rows.append({**who, "measure": OPEN_LOOP_STEPS, "value": float(steps)})
    return rows


def pace(gathered: Gathered, drawing: Drawing) -> list[dict[str, Any]]:
    """Of each run of an agent that updates so many times every so many frames: milliseconds that a frame of training
    takes once the agent acts and learns, by phase, and frames a second."""
    del drawing
    rows = []
    for run in gathered.runs:
        manifest = run["manifest"]
        hyper = manifest["spec"].get("hyper", {})
        if not {"update_every", "updates"} <= hyper.keys():
            continue
        who, spent = identity(run), split(manifest)
        values = (*(MILLI * each for each in spent), 1 / sum(spent) if sum(spent) else float("inf"))
        rows += [{**who, "measure": measure, "value": value} for measure, value in zip(PACE, values, strict=True)]
    return rows


def split(manifest: dict[str, Any]) -> list[float]:
    """Seconds of a frame: of the environment, of acting, and of the updates that a frame has on average."""
    spec, spent, frames = manifest["spec"], manifest["phase_seconds"], manifest["frames"]
    hyper, acted = spec["hyper"], frames - spec["training"]["random_frames"]
    times = frames // hyper["update_every"] - (hyper["update_after"] - 1) // hyper["update_every"]
    counts = {"environment": frames, "act": acted, "update": times * hyper["update_every"]}
    return [spent.get(phase, 0.0) / count if count > 0 else 0.0 for phase, count in counts.items()]


DERIVED: dict[Kind, Callable[[Gathered, Drawing], list[dict[str, Any]]]] = {
    "wall_clock": seconds,
    "open_loop": accurate_steps,
    "panels": pace,
}
