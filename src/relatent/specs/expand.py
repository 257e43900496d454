"""From a paper's entries to one resolved spec per (algorithm, task, seed). Pure functions on checked models."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from relatent.specs.canonical import canonical, digest
from relatent.specs.models import Algorithm, Budget, Paper

Typed = Callable[[Algorithm, dict[str, Any]], dict[str, Any]]
"""Gives an entry's hyperparameters the types that its code declares."""


@dataclass(frozen=True)
class Job:
    """One run. `spec` is canonical text and holds all that decides its result; nothing else here does."""

    run: str
    """Folder, from the repository's root."""
    spec: str
    budget: str
    paper: str
    algorithm: str
    task: str
    seed: int
    resources: dict[str, int]
    """gpu, cpus, mem_mb, runtime (minutes)."""
    planned: bool
    """Its agent is not written yet."""


def chain(paper: Paper, name: str) -> list[Algorithm]:
    """An algorithm's entry and those it is `like`, from the base to itself."""
    entry = paper.algorithms[name]
    return [*(chain(paper, entry.like) if entry.like else ()), entry]


def resolve(paper: Paper, name: str) -> Algorithm:
    """An algorithm's entry with `like` followed: mappings are merged, all else is replaced."""
    given: dict[str, Any] = {}
    for entry in chain(paper, name):
        own = entry.model_dump(exclude_unset=True, exclude_none=True)
        own.pop("like", None)
        for key in ("hyper", "training", "resources"):
            if key in own:
                own[key] = {**given.get(key, {}), **own[key]}
        if "tuned" in own:
            before = given.get("tuned", {})
            own["tuned"] = {**before, **{task: {**before.get(task, {}), **own["tuned"][task]} for task in own["tuned"]}}
        given = {**given, **own}
    return Algorithm.model_validate(given)


def hyper(paper: Paper, budget: Budget, entry: Algorithm, task: str, part: str) -> dict[str, Any]:
    """Shared groups, then the entry's own values, then those tuned for the task, then the budget's.

    A budget changes nothing that is left to its default. Updates that begin where random frames end still do so where a
    budget cuts these, unless it says otherwise.
    """
    values: dict[str, Any] = {}
    for group in entry.use or ():
        values.update(paper.shared[group])
    values.update(entry.hyper)
    values.update(entry.tuned.get(task, {}))
    if entry.agent and values.get("update_after") == training(paper, Budget(), entry, part)["random_frames"]:
        values["update_after"] = training(paper, budget, entry, part)["random_frames"]
    replaced = budget.hyper.get(entry.agent or entry.study or "", {})
    fixed = entry.fixed or ()
    values.update({key: value for key, value in replaced.items() if key in values and key not in fixed})
    return values


def training(paper: Paper, budget: Budget, entry: Algorithm, part: str) -> dict[str, int]:
    """The protocol: the paper's, the task set's and the entry's changes, the budget's reductions."""
    changes = (paper.training, paper.tasks[part].training, entry.training)
    plan = {key: value for change in changes for key, value in change.model_dump(exclude_none=True).items()}
    longest = budget.lengths.get(paper.paper, {}).get(part, budget.frames)
    if longest and longest < plan["frames"]:
        plan["frames"] = longest
        plan["random_frames"] = min(plan["random_frames"], int(longest * budget.random_share))
    if budget.evaluations:
        plan["eval_every"] = plan["frames"] // budget.evaluations
    if budget.eval_episodes:
        plan["eval_episodes"] = budget.eval_episodes
    return plan


class Task(NamedTuple):
    """One task of a figure."""

    name: str
    """Of its folder."""
    env: dict[str, Any]
    part: str
    """The task set that it belongs to, which no other sets are in."""


def parts(paper: Paper, budget: Budget, task_set: str) -> tuple[str, ...]:
    """The task sets that a set is made of; of a set of sets those that the budget names, if it does."""
    sets = paper.tasks[task_set].sets
    if sets is None:
        return (task_set,)
    kept = budget.tasks.get(paper.paper, {}).get(task_set, sets)
    return tuple(part for part in sets if part in kept)


def task_names(paper: Paper, budget: Budget, part: str) -> tuple[str, ...]:
    """The names in a task set that is no set of sets, before they are varied."""
    return budget.tasks.get(paper.paper, {}).get(part, paper.tasks[part].names or ())


def tasks(paper: Paper, budget: Budget, task_set: str) -> Iterator[Task]:
    """Each task in a set, crossed with what its set varies; one that a budget puts in two parts is in the first."""
    found: dict[str, Task] = {}
    for part in parts(paper, budget, task_set):
        entry = paper.tasks[part]
        base = paper.envs[entry.env or ""]
        for task in task_names(paper, budget, part):
            env = {**base.model_dump(exclude_none=True), "task": task}
            varied = entry.vary.model_dump(exclude_none=True)
            if not varied:
                found.setdefault(task, Task(task, env, part))
            for key, values in varied.items():
                for label, value in values.items():
                    name = f"{task}+{label}"
                    found.setdefault(name, Task(name, {**env, key: value}, part))
    return iter(found.values())


def seeds(paper: Paper, budget: Budget, entry: Algorithm, part: str) -> tuple[int, ...]:
    """Those of a run on a task set's tasks: the first of the paper's, as many as both the set and the budget allow."""
    allowed = budget.study_seeds if entry.study else budget.seeds_of.get(paper.paper, budget.seeds)
    return paper.seeds[: paper.tasks[part].seeds][:allowed]


def resources(paper: Paper, budget: Budget, entry: Algorithm) -> dict[str, int]:
    """What one run needs: the paper's, the entry's changes, the budget's number of GPUs."""
    needed = {**paper.resources.model_dump(), **entry.resources.model_dump(exclude_none=True)}
    return needed if budget.gpu is None else {**needed, "gpu": budget.gpu}


def jobs(
    paper: Paper, budget_name: str, budget: Budget, figure: str, revisions: Mapping[str, int], typed: Typed
) -> list[Job]:
    """The jobs of a figure, by algorithm, task and seed."""
    data = paper.figures[figure].data
    found = []
    for algorithm in data.algorithms:
        entry = resolve(paper, algorithm)
        module = entry.agent or entry.study or ""
        for task, env, part in tasks(paper, budget, data.tasks):
            spec: dict[str, Any] = {
                "agent" if entry.agent else "study": module,
                "revision": revisions.get(module, 1),
                "hyper": typed(entry, hyper(paper, budget, entry, env["task"], part)),
                "env": env if entry.octaves is None else {**env, "octaves": entry.octaves},
            }
            if entry.agent:
                spec["training"] = training(paper, budget, entry, part)
            if data.probes:
                spec["probes"] = list(data.probes)
            for seed in seeds(paper, budget, entry, part):
                text = canonical({**spec, "seed": seed})
                found.append(
                    Job(
                        run=f"runs/{budget_name}/{paper.paper}/{algorithm}/{task}/s{seed}-{digest(text)}",
                        spec=text,
                        budget=budget_name,
                        paper=paper.paper,
                        algorithm=algorithm,
                        task=task,
                        seed=seed,
                        resources=resources(paper, budget, entry),
                        planned=entry.planned,
                    )
                )
    return found
