"""Limits that keep one caller from using up what all share."""

from random import Random

from voicefleet.core.rate_limit import Rate, RateLimiter

NOW = 1000.0


def test_a_burst_is_let_through_and_then_the_steady_rate() -> None:
    limiter = RateLimiter(Rate(10.0, 5))
    assert [limiter.take("a", NOW) == 0.0 for _ in range(7)] == [True] * 5 + [False] * 2
    assert abs(limiter.take("a", NOW) - 0.1) < 1e-6, "and it is told when to come back"
    assert limiter.take("a", NOW + 0.1) == 0.0
    assert limiter.take("b", NOW) == 0.0, "others have their own"


def test_over_a_long_time_nobody_gets_more_than_the_rate() -> None:
    limiter, random, now, passed = RateLimiter(Rate(3.0, 10)), Random(4), NOW, 0
    for _ in range(3000):
        now += random.expovariate(20.0)
        passed += limiter.take("a", now) == 0.0
    seconds = now - NOW
    assert 3.0 * seconds * 0.97 <= passed <= 3.0 * seconds + 10


def test_refused_requests_cost_no_budget() -> None:
    limiter = RateLimiter(Rate(1.0, 1))
    assert limiter.take("a", NOW) == 0.0
    assert all(limiter.take("a", NOW + 0.5) > 0.0 for _ in range(100))
    assert limiter.take("a", NOW + 1.0) == 0.0


def test_memory_is_bounded_and_the_quiet_need_none() -> None:
    limiter = RateLimiter(Rate(1.0, 1), names=100)
    for number in range(1000):
        limiter.take(f"name {number}", NOW)
    assert len(limiter) == 100
    limiter.take("later", NOW + 60)
    assert len(limiter) == 1
