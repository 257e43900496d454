"""metrics.csv, which agents that begin in stages give new columns."""

from pathlib import Path

from relatent.training.record import append


def test_a_table_gains_columns_and_keeps_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    for row in ({"a": 1}, {"a": 2}, {"a": 3, "b": 4}, {"b": 5, "a": 6}, {"a": 7}):
        append(path, row)
    assert path.read_text().split() == ["a,b", "1,", "2,", "3,4", "6,5", "7,"]
