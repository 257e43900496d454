"""All that decides how a figure is drawn and judged, as one JSON-able mapping. Read by relatent.figures."""

from collections.abc import Iterable, Mapping
from typing import Any

from relatent.specs.expand import Job, hyper, parts, resolve, seeds, tasks, training
from relatent.specs.figure import Claim
from relatent.specs.models import Budget, Paper


def drawing(paper: Paper, figure: str, budget: str, budgets: Mapping[str, Budget], jobs: list[Job]) -> dict[str, Any]:
    """`jobs` are the figure's at this budget."""
    entry = paper.figures[figure]
    names = [task.name for task in tasks(paper, budgets[budget], entry.data.tasks)]
    labels = {name: resolve(paper, name).label or name for name in entry.data.algorithms} | entry.labels
    return {
        "paper": paper.paper,
        "paper_title": paper.title,
        "figure": f"{paper.paper}_{figure}",
        "title": entry.title,
        "caption": entry.caption,
        "kind": entry.kind,
        "budget": {
            "name": budget,
            "order": list(budgets),
            "reduced": reductions(paper, figure, budgets[budget], labels),
        },
        "data": {
            "algorithms": list(entry.data.algorithms),
            "tasks": names,
            "measure": entry.data.measure,
            "phase": entry.data.phase,
        },
        "labels": labels,
        "x_label": paper.x_label,
        "look": entry.look.model_dump(mode="json"),
        **({"panels": [panel.model_dump(mode="json") for panel in entry.panels]} if entry.panels else {}),
        "reference": entry.reference and entry.reference.model_dump(mode="json"),
        "claims": [claim_on(claim, names) for claim in entry.claims],
        "seeds_wanted": max(
            len(seeds(paper, budgets[budget], resolve(paper, name), part))
            for name in entry.data.algorithms
            for part in parts(paper, budgets[budget], entry.data.tasks)
        ),
        "origin": origins(paper, figure, labels),
        "runs": [{"run": job.run, "algorithm": job.algorithm, "task": job.task, "seed": job.seed} for job in jobs],
    }


def claim_on(claim: Claim, tasks: list[str]) -> dict[str, Any]:
    """A claim, its tasks narrowed to those that the budget has; all of its tasks where it has none of them."""
    written = claim.model_dump(mode="json", by_alias=True)
    if claim.test.tasks:
        written["test"]["tasks"] = [task for task in claim.test.tasks if task in tasks] or list(claim.test.tasks)
    return written


def origins(paper: Paper, figure: str, labels: Mapping[str, str]) -> list[str]:
    """What is ours because the paper does not state it."""
    data = paper.figures[figure].data
    notes: dict[str, list[str]] = {}
    for name in data.algorithms:
        entry = resolve(paper, name)
        if entry.note:
            notes.setdefault(entry.note, []).append(labels[name])
    about = [paper.tasks[name].note for name in dict.fromkeys((data.tasks, *parts(paper, Budget(), data.tasks)))]
    found = [f"tasks: {note}" for note in about if note]
    return found + [f"{', '.join(names)}: {note}" for note, names in notes.items()]


def reductions(paper: Paper, figure: str, budget: Budget, labels: Mapping[str, str]) -> list[str]:
    """What a budget changes in a figure, a sentence part each: `width 400 -> 256 (SAC, TD3)`."""
    data = paper.figures[figure].data
    changes: dict[tuple[str, Any, Any], list[str]] = {}
    for name in data.algorithms:
        full, reduced = _settings(paper, Budget(), data.tasks, name), _settings(paper, budget, data.tasks, name)
        for key in full.keys() | reduced.keys():
            if full.get(key) != reduced.get(key):
                changes.setdefault((key, full.get(key), reduced.get(key)), []).append(labels[name])
    lines = []
    for (key, before, after), names in sorted(changes.items(), key=lambda item: (item[0][0] not in FIRST, str(item))):
        who = "" if len(names) == len(data.algorithms) else f" ({', '.join(names)})"
        lines.append(f"{key} {_shown(before)} -> {_shown(after)}{who}")
    return lines


FIRST = ("tasks", "seeds", "frames")
MANY = 4  # a longer list is shown as its length


def _settings(paper: Paper, budget: Budget, task_set: str, name: str) -> dict[str, Any]:
    entry, all_tasks = resolve(paper, name), list(tasks(paper, budget, task_set))
    sets = parts(paper, budget, task_set)
    values: dict[str, Any] = {"tasks": tuple(task.name for task in all_tasks)}
    values["seeds"] = _distinct(len(seeds(paper, budget, entry, part)) for part in sets)
    if entry.agent:
        plans = [training(paper, budget, entry, part) for part in sets]
        for key, shown in PROTOCOL.items():
            values[shown] = _distinct(plan[key] for plan in plans)
    own = hyper(paper, budget, entry, all_tasks[0].env["task"], all_tasks[0].part)
    return values | {key.replace("_", " "): tuple(v) if isinstance(v, list) else v for key, v in own.items()}


PROTOCOL = {
    "frames": "frames",
    "random_frames": "random frames",
    "eval_every": "frames between evaluations",
    "eval_episodes": "evaluation episodes",
}


def _distinct(values: Iterable[int]) -> Any:
    """A number where all agree, else all of them in order."""
    found = tuple(sorted(set(values)))
    return found[0] if len(found) == 1 else found


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        between = " and " if all(isinstance(one, int) for one in value) else ", "
        return between.join(map(_shown, value)) if len(value) <= MANY else str(len(value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
