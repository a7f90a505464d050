"""What servers say about their limits, read as seconds; proxies and certificates as the environment says."""

from datetime import UTC, datetime, timedelta

import pytest

from trueline.models.rate_headers import asked_to_wait, duration, used_up
from trueline.models.transport import proxy_for


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("1s", 1),
        ("20ms", 0.02),
        ("6m0s", 60),
        ("1m2.5s", 60),
        ("0", 0),
        ("2.5", 2.5),
        ("soon", None),
        ("", None),
        ("5x", None),
        ("nan", None),
    ],
)
def test_durations(told: str, seconds: float | None) -> None:
    assert duration(told) == (None if seconds is None else pytest.approx(seconds))


def test_the_limit_that_is_used_up_is_waited_for_and_no_other() -> None:
    later = (datetime.now(UTC) + timedelta(seconds=20)).isoformat()
    assert used_up({"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "9s"}) is None
    assert used_up({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "9s"}) == 9
    assert used_up({"anthropic-ratelimit-requests-remaining": "0", "anthropic-ratelimit-requests-reset": later}) == pytest.approx(20, abs=1)
    assert asked_to_wait({"retry-after-ms": "40"}) == pytest.approx(0.04)
    assert asked_to_wait({"retry-after": "7"}) == 7
    assert asked_to_wait({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "9s"}) == 9
    assert asked_to_wait({}) is None


def test_proxies_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert proxy_for("http://model.example:1/v1") is None
    monkeypatch.setenv("https_proxy", "proxy:3128")
    assert proxy_for("https://model.example/v1") == "http://proxy:3128"
    assert proxy_for("http://model.example/v1") is None
    monkeypatch.setenv("all_proxy", "http://other:1")
    assert proxy_for("http://model.example/v1") == "http://other:1"
    monkeypatch.setenv("no_proxy", "127.0.0.1,.example")
    assert proxy_for("http://127.0.0.1:8000/v1") is None
    assert proxy_for("https://model.example/v1") is None
