"""Times as people write them."""

import pytest

from videoxl.clock import clock, clock_span, seconds_of


def test_times_are_cut_off_at_the_second() -> None:
    assert (clock(0), clock(751.99), clock(36000)) == ("00:00:00", "00:12:31", "10:00:00")
    assert (clock_span(751, 761.5), clock_span(3.1, 3.9)) == ("00:12:31-00:12:41", "00:00:03")


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("1:30", 90), ("01:00:01.5", 3601.5), ("0", 0)])
def test_seconds_are_read(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1", "1:-1", "1:2:3:4", "1::2", "9:99:99", "1:60", "inf", "nan"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError):
        seconds_of(text)
