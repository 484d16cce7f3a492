"""Times as people write them."""

from videoxl.clock import clock, clock_span


def test_times_are_cut_off_at_the_second() -> None:
    assert (clock(0), clock(751.99), clock(36000)) == ("00:00:00", "00:12:31", "10:00:00")
    assert (clock_span(751, 761.5), clock_span(3.1, 3.9)) == ("00:12:31-00:12:41", "00:00:03")
