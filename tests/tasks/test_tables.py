"""Tables count, and show what was counted in the order that was asked for."""

import pytest

from videoxl.tasks.tables import Table


@pytest.fixture
def table() -> Table:
    table = Table("Some", ("a", "never", "b"), ("x", "empty", "y"))
    for right in (True, True, False, True):
        table.add("b", "x", right)
    table.add("a", "y", 2, 10)
    table.add("a", "y", 3, 10)
    return table


def test_markdown(table: Table) -> None:
    assert table.markdown().splitlines() == [
        "Some:",
        "",
        "| | x | y |",
        "|---|---|---|",
        "| a | - | 5/20 = 25% (11-47) |",
        "| b | 3/4 = 75% (30-95) | - |",
    ]


def test_json(table: Table) -> None:
    cells = table.as_dict()
    assert cells["title"] == "Some" and list(cells["rows"]) == ["a", "b"]
    assert cells["rows"]["a"] == {"y": {"right": 5, "asked": 20, "share": 0.25, "low": 0.1119, "high": 0.4687}}


def test_what_has_no_place_is_an_error(table: Table) -> None:
    with pytest.raises(KeyError):
        table.add("c", "x", True)
