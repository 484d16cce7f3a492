"""Times as people write them."""

import pytest

from videoxl.timestamps import format_span, format_timestamp, parse_timestamp


def test_times_are_cut_off_at_the_second() -> None:
    assert (format_timestamp(0), format_timestamp(751.99), format_timestamp(36000)) == (
        "00:00:00",
        "00:12:31",
        "10:00:00",
    )
    assert (format_span(751, 761.5), format_span(3.1, 3.9)) == ("00:12:31-00:12:41", "00:00:03")


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("1:30", 90), ("01:00:01.5", 3601.5), ("0", 0)])
def test_seconds_are_read(text: str, seconds: float) -> None:
    assert parse_timestamp(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1", "1:-1", "1:2:3:4", "1::2", "9:99:99", "1:60", "inf", "nan"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError):
        parse_timestamp(text)
