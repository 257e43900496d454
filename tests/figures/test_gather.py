"""From hand-written runs to the tidy table."""

import json
from pathlib import Path

import numpy as np
import pytest

from relatent.figures.drawing import run_parts
from relatent.figures.gather import COLUMNS, gather, read_gathered
from relatent.figures.series import curves, seed_values
from relatent.specs.canonical import canonical, digest
from relatent.specs.errors import RelatentError
from relatent.training.record import Record

ROOT = Path(__file__).parents[2]


def test_returns_are_gathered_exactly(tmp_path: Path, make_run, run_list) -> None:
    returns = {0: [0.1, 0.2], 10: [1 / 3, 1e-17]}
    run = make_run("sac", "reacher_easy", 3, returns)
    gather(run_list([run]), tmp_path / "x.parquet")
    found = read_gathered(tmp_path / "x.parquet")
    evaluation = found.frame[found.frame["phase"] == "eval"]
    assert list(found.frame.columns) == COLUMNS
    assert list(evaluation["value"]) == [0.1, 0.2, 1 / 3, 1e-17]
    assert list(evaluation["frames"]) == [0, 0, 10, 10]
    assert list(evaluation["episode"]) == [0, 1, 0, 1]
    assert set(found.frame["measure"]) == {"return"}  # no success, because none was defined
    assert (found.frame[["algorithm", "task", "seed"]] == ["sac", "reacher_easy", 3]).all(None)
    assert set(found.frame["digest"]) == {digest(canonical(found.runs[0]["manifest"]["spec"]))}
    assert found.runs[0]["manifest"]["commit"] == "a" * 40
    assert not found.partial


def test_success_is_a_measure_where_it_is_defined(tmp_path: Path, make_run, run_list) -> None:
    run = make_run("sac", "reacher_easy", 0, {0: [1.0]})
    (run / "returns.csv").write_text("phase,frames,episode,return,success\neval,5,0,2.5,1\neval,5,1,3.5,0\n")
    gather(run_list([run]), tmp_path / "x.parquet")
    frame = read_gathered(tmp_path / "x.parquet").frame
    assert list(seed_values(frame, "sac", "reacher_easy", "success", "eval", "final")) == [0.5]
    assert list(seed_values(frame, "sac", "reacher_easy", "return", "eval", "final")) == [3.0]


def test_probes_become_measures(tmp_path: Path, make_run, run_list) -> None:
    probes = {
        "entropy": np.array([1.0, 2.0, 3.0]),
        "entropy_frames": np.array([0, 5, 10]),
        "samples": np.array([[1.0, 2.0], [3.0, 4.0]]),
        "modes": np.array(4),
    }
    gather(run_list([make_run("sac", "reacher_easy", 0, {0: [1.0], 10: [1.0]}, probes)]), tmp_path / "x.parquet")
    frame = read_gathered(tmp_path / "x.parquet").frame
    probe = frame[frame["phase"] == "probe"].set_index(["measure", "episode"])
    assert set(probe.index.get_level_values("measure")) == {"entropy", "samples_0", "samples_1", "modes"}
    assert list(probe.loc["entropy"]["frames"]) == [0, 5, 10]
    assert list(probe.loc["samples_1"]["value"]) == [2.0, 4.0]
    assert probe.loc[("modes", 0)]["value"] == 4.0
    assert probe.loc[("modes", 0)]["frames"] == 10  # the last frame, where an array is no series


def test_an_estimate_with_bounds_has_an_excess_over_the_truth(tmp_path: Path, make_run, run_list) -> None:
    probes = {"h_estimate": [5.0, 9.0], "h_lower": [1.0, -2.0], "h_upper": [2.0, 3.0]}
    probes |= {f"{name}_frames": [0, 5] for name in probes}
    arrays = {name: np.array(values) for name, values in probes.items()}
    gather(run_list([make_run("sac", "reacher_easy", 0, {0: [1.0], 5: [1.0]}, arrays)]), tmp_path / "x.parquet")
    frame = read_gathered(tmp_path / "x.parquet").frame
    for measure, expected in (("h_excess_least", [3.0, 6.0]), ("h_excess_most", [4.0, 11.0])):
        rows = frame[frame["measure"] == measure]
        assert rows["value"].tolist() == expected
        assert rows["frames"].tolist() == [0, 5]
        assert set(rows["phase"]) == {"probe"}


def test_an_array_of_three_dimensions_is_refused(tmp_path: Path, make_run, run_list) -> None:
    runs = run_list([make_run("sac", "reacher_easy", 0, {0: [1.0]}, {"cube": np.zeros((2, 2, 2))})])
    with pytest.raises(RelatentError, match="cube has 3 dimensions, expected 1 or 2"):
        gather(runs, tmp_path / "x.parquet")


def test_an_unfinished_run_is_an_error_unless_partial(tmp_path: Path, make_run, run_list) -> None:
    done = make_run("sac", "reacher_easy", 0, {0: [1.0]})
    begun = done.parent / "s1-00000000000b"
    begun.mkdir()
    (begun / "progress.json").write_text("{}")
    with pytest.raises(RelatentError, match=r"1 of 2 runs are not finished, first .*s1-00000000000b"):
        gather(run_list([done, begun]), tmp_path / "x.parquet")
    assert not (tmp_path / "x.parquet").exists()
    gather(run_list([done, begun]), tmp_path / "x.parquet", partial=True)
    found = read_gathered(tmp_path / "x.parquet")
    assert found.partial
    assert found.missing == [begun.as_posix()]
    assert [run["seed"] for run in found.runs] == [0]


def test_nothing_finished_is_an_error_even_if_partial(tmp_path: Path, run_list) -> None:
    with pytest.raises(RelatentError, match="none of its 1 runs is finished"):
        gather(run_list([tmp_path / "a/b/s0-00"]), tmp_path / "x.parquet", partial=True)


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("returns.csv", "phase,frames\neval,5\n", "expected columns phase,frames,episode,return,success"),
        ("returns.csv", "", "expected columns"),
        ("returns.csv", "phase,frames,episode,return,success\neval,5,0,high,\n", "expected columns .*high"),
        ("returns.csv", "phase,frames,episode,return,success\neval,late,0,1.0,\n", "expected columns .*late"),
        ("manifest.json", "{", "readable manifest"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, make_run, run_list, file: str, text: str, says: str) -> None:
    run = make_run("sac", "reacher_easy", 0, {0: [1.0]})
    (run / file).write_text(text)
    with pytest.raises(RelatentError, match=f"{file}: .*{says}"):
        gather(run_list([run]), tmp_path / "x.parquet")


@pytest.mark.parametrize(
    ("kept", "every", "complete"),
    [
        ([0, 5, 10], 5, True),
        ([0, 5], 5, False),
        ([], 5, False),
        ([0, 7], 7, True),  # the next evaluation would have been beyond the end
        ([0, 6], 3, False),
    ],
)
def test_a_run_that_lacks_its_last_evaluation_is_refused(
    tmp_path: Path, make_run, run_list, kept: list[int], every: int, complete: bool
) -> None:
    spec = {"training": {"eval_every": every}}
    run = make_run("sac", "reacher_easy", 0, {frames: [1.0] for frames in kept or [0]}, spec=spec, frames=10)
    if not kept:
        (run / "returns.csv").write_text("phase,frames,episode,return,success\ntrain,10,0,1.0,\n")
    if complete:
        gather(run_list([run]), tmp_path / "x.parquet")
        return
    with pytest.raises(RelatentError, match=rf"{run}/returns.csv: .* of 10 frames") as refused:
        gather(run_list([run]), tmp_path / "x.parquet", partial=True)
    assert "\n" not in str(refused.value)


def test_a_study_has_no_evaluations_to_lack(tmp_path: Path, make_run, run_list) -> None:
    run = make_run("lvp", "four_modes", 0, {3_000: [1.0]}, spec={"study": "bandit"}, frames=0)
    gather(run_list([run]), tmp_path / "x.parquet")


@pytest.mark.parametrize("file", ["returns.csv", "probes.npz"])
def test_a_file_that_its_run_did_not_write_is_refused(tmp_path: Path, make_run, run_list, file: str) -> None:
    """The digests are those that a real record writes."""
    run, other = (make_run("sac", "reacher_easy", seed, {0: [1.0], 5: [2.0]}, {"x": np.ones(3)}) for seed in range(2))
    for folder, value in ((run, 3.0), (other, 4.0)):
        record = Record(folder)
        for frames in (0, 5):
            record.episode("eval", frames, 0, value)
        record.probe("entropy", 5, {"estimate": value})
        record.finish(json.loads((folder / "manifest.json").read_text()))
    gather(run_list([run, other]), tmp_path / "x.parquet")
    (run / file).write_bytes((other / file).read_bytes())
    with pytest.raises(RelatentError, match=rf"{run}/{file}: .*sha256"):
        gather(run_list([run, other]), tmp_path / "x.parquet")


@pytest.mark.parametrize("file", ["returns.csv", "probes.npz"])
def test_a_file_that_is_of_its_kind_no_more_is_the_same_one_line(tmp_path: Path, make_run, run_list, file: str) -> None:
    """Text where a number was, or where an archive was: the digest is looked at before the file is read."""
    run = make_run("sac", "reacher_easy", 0, {0: [1.0], 5: [2.0]})
    record = Record(run)
    for frames in (0, 5):
        record.episode("eval", frames, 0, 3.0)
    record.finish(json.loads((run / "manifest.json").read_text()))
    (run / file).write_text("phase,frames,episode,return,success\neval,0,0,none,\n")
    with pytest.raises(RelatentError, match=rf"{run}/{file}: not the file that the run wrote") as refused:
        gather(run_list([run]), tmp_path / "x.parquet")
    assert "\n" not in str(refused.value)


def test_the_committed_runs_are_complete(tmp_path: Path, run_list) -> None:
    runs = sorted(path.parent for path in (ROOT / "paper_figures/laptop/runs").glob("*/*/*/*/returns.csv"))
    gather(run_list(runs), tmp_path / "x.parquet")
    assert len(read_gathered(tmp_path / "x.parquet").runs) == len(runs) == 42


def test_gathering_again_gives_the_same_bytes(tmp_path: Path, make_run, run_list) -> None:
    runs = run_list([make_run("sac", "reacher_easy", seed, {0: [1.0 * seed]}, {"x": np.ones(3)}) for seed in range(2)])
    gather(runs, tmp_path / "one.parquet")
    gather(runs, tmp_path / "two.parquet")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


def test_curves_keep_the_frames_that_all_seeds_share(tmp_path: Path, make_run, run_list) -> None:
    long = make_run("sac", "reacher_easy", 0, {0: [1.0, 3.0], 10: [5.0], 20: [6.0]})
    short = make_run("sac", "reacher_easy", 1, {0: [4.0], 10: [7.0]})
    gather(run_list([long, short]), tmp_path / "x.parquet")
    frame = read_gathered(tmp_path / "x.parquet").frame
    found = curves(frame, "sac", "reacher_easy", "return", "eval")
    assert found is not None
    assert found.seeds == [0, 1]
    assert found.frames.tolist() == [0, 10]
    assert found.values.tolist() == [[2.0, 5.0], [4.0, 7.0]]
    assert curves(frame, "smac", "reacher_easy", "return", "eval") is None
    assert seed_values(frame, "sac", "reacher_easy", "return", "eval", "final").tolist() == [6.0, 7.0]
    assert seed_values(frame, "sac", "reacher_easy", "return", "eval", "final", until=10).tolist() == [5.0, 7.0]


def test_a_nan_stays_a_nan(tmp_path: Path, make_run, run_list) -> None:
    """A mean over episodes must not skip what is not a number."""
    runs = [make_run("sac", "reacher_easy", seed, {0: [1.0, float("nan") if seed else 2.0]}) for seed in range(2)]
    gather(run_list(runs), tmp_path / "x.parquet")
    frame = read_gathered(tmp_path / "x.parquet").frame
    assert np.isnan(seed_values(frame, "sac", "reacher_easy", "return", "eval", "final")).tolist() == [False, True]


@pytest.mark.parametrize("run", ["s0-abc", "sac/task/seed0", "sac/task/s0", "sac/task/sx-abc"])
def test_a_folder_that_is_no_run_is_refused(run: str) -> None:
    with pytest.raises(RelatentError, match=r"expected .*<algorithm>/<task>/s<seed>-<digest>"):
        run_parts(run)


def test_a_run_in_another_runs_folder_is_refused(tmp_path, make_run, run_list) -> None:
    """As after copying results about, or editing a manifest."""
    run = make_run("sac", "reacher_easy", 3, {0: [1.0]})
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["spec"]["agent"] = "td3"
    (run / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RelatentError, match="its manifest is of another run"):
        gather(run_list([run]), tmp_path / "x.parquet")
