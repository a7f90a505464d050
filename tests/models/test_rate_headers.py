"""What servers say about their limits, read as seconds; proxies and certificates as the environment says."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from trueline.errors import ModelError
from trueline.models.rate_headers import asked_to_wait, duration, used_up
from trueline.models.transport import Transport, proxy_for


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


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("no_proxies")
def test_a_host_may_be_left_out_with_its_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "gpu1.corp:8000")
    assert proxy_for("http://gpu1.corp:8000/v1") is None
    assert proxy_for("http://user@gpu1.corp:8000/v1") is None
    assert proxy_for("http://gpu1.corp:9000/v1") == "http://proxy:3128"


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.parametrize(
    "proxy", ["socks5://u:secret@proxy:1080", "http://u:secret@proxy:99999", "http://u:secret@[::1", "http://", "http://a b"]
)
def test_a_proxy_that_is_no_http_proxy_is_refused_and_named(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> None:
        transport = Transport("http://model.example/v1", {"authorization": "Bearer sk-1"})
        try:
            await transport.post("/chat/completions", b"{}", 2.0)
        finally:
            await transport.close()

    monkeypatch.setenv("all_proxy", proxy)
    with pytest.raises(ModelError, match=r"environment names the proxy .* no HTTP proxy; set HTTPS_PROXY") as caught:
        asyncio.run(ask())
    assert "secret" not in str(caught.value)
