from pathlib import Path

import pytest

from relatent.commands.throughput import Row, Speed, merge, read, simulator_name, write

SMALL = Row("A", "cpu", "walker_run", "sac", 100, 10, None, 0.1, 500.0, 1000.0, None, 50.0, 0.8)
LARGE = Row("A", "cpu", "walker_run", "sac", 400, 10, None, 1.0, 60.0, 900.0, None, 60.0, 0.9)
WALKER = Row("A", "cpu", "walker_run", env_steps_per_second=10_000.0)
CHEETAH = Row("A", "cpu", "cheetah_run", env_steps_per_second=30_000.0)
ROWS = [SMALL, LARGE, WALKER, CHEETAH]


def test_file_round_trip(tmp_path: Path) -> None:
    write(tmp_path / "throughput.csv", ROWS)
    assert read(tmp_path / "throughput.csv") == ROWS


def test_numbers_are_written_as_short_as_they_are(tmp_path: Path) -> None:
    write(tmp_path / "throughput.csv", [SMALL])
    assert (tmp_path / "throughput.csv").read_text().splitlines()[
        1
    ] == "A,cpu,walker_run,sac,100,10,,0.1,500,1000,,50,0.8"


def test_no_file_no_rows(tmp_path: Path) -> None:
    assert read(tmp_path / "throughput.csv") == []


def test_a_new_measurement_replaces_the_old_one_of_the_same_thing_only() -> None:
    faster = Row("A", "cpu", "walker_run", env_steps_per_second=11_000.0)
    elsewhere = Row("B", "cpu", "walker_run", env_steps_per_second=5_000.0)
    assert merge(ROWS, [faster, elsewhere]) == sorted(
        [SMALL, LARGE, CHEETAH, faster, elsewhere], key=lambda r: str(r.key)
    )


@pytest.mark.parametrize(("gflop", "seconds"), [(0.1, 0.1 / 50), (0.2, 0.2 / 50), (0.9, 0.9 / 60), (6.0, 6.0 / 60)])
def test_an_update_runs_at_the_rate_of_the_nearest_measured_one(gflop: float, seconds: float) -> None:
    assert Speed(ROWS, "cpu").update_seconds("sac", gflop) == pytest.approx(seconds)


def test_what_was_not_measured_is_none() -> None:
    assert Speed(ROWS, "cpu").update_seconds("td3", 1.0) is None
    assert Speed(ROWS, "cpu").act_seconds("td3", 1.0) is None
    assert Speed(ROWS, "cuda").update_seconds("sac", 1.0) is None
    assert Speed([], "cpu").env_step_seconds("walker_run") is None


def test_what_this_machine_was_measured_to_do_counts_first() -> None:
    own = Row("B", "cpu", "walker_run", "sac", 400, 10, None, 1.0, 30.0, 500.0, None, 30.0, 0.9)
    walker = Row("B", "cpu", "walker_run", env_steps_per_second=8_000.0)
    for rows in ([own, walker, *ROWS], [*ROWS, own, walker]):
        speed = Speed(rows, "cpu", "B")
        assert speed.update_seconds("sac", 0.1) == 0.1 / 30  # although one elsewhere is nearer in size
        assert speed.act_seconds("sac", 0.1) == 1 / 500
        assert speed.env_step_seconds("walker_run") == 1 / 8_000
        assert speed.env_step_seconds("cheetah_run") == 1 / 30_000


def test_simulators_and_actions() -> None:
    speed = Speed(ROWS, "cpu")
    assert speed.act_seconds("sac", 0.1) == 1 / 1000
    assert speed.env_step_seconds("walker_run") == 1 / 10_000
    assert speed.env_step_seconds("hopper_hop") == 1 / 20_000  # not measured: the median of those that were


def test_a_simulator_that_takes_pictures_is_another() -> None:
    env = {"suite": "dmc", "task": "walker_run", "action_repeat": 2}
    rows = [
        Row("m", "cpu", name, env_steps_per_second=rate)
        for name, rate in (("walker_run", 9e3), ("walker_run+pixels", 150))
    ]
    speed = Speed(rows, "cpu")
    assert speed.env_step_seconds(simulator_name(env)) == 1 / 9e3
    assert speed.env_step_seconds(simulator_name({**env, "pixels": 64})) == 1 / 150
    assert speed.env_step_seconds("hopper_hop+pixels") == 1 / 150
    assert Speed(rows[:1], "cpu").env_step_seconds("walker_run+pixels") is None
