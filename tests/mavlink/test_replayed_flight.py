"""What the runtime sends follows from what it hears, and when; nothing else has a part in it."""

from __future__ import annotations

from latency import replayed


def test_a_flight_heard_once_more_is_flown_the_same_byte_for_byte():
    figures = replayed(4.0)  # raises where another byte was sent
    assert figures["setpoints"] > 300
    assert 0.0 < figures["median_us"] <= figures["p99_us"] <= figures["max_us"]
