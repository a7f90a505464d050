"""Nobody else's endpoint is attacked before somebody agrees; what will be sent is said in numbers."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from tests.evals.test_journal import probes
from trueline.charter.compile.written import written_probes
from trueline.charter.parse import load_charter
from trueline.charter.shipped import charter_path
from trueline.cli.consent import ask_leave, foreign_host, sending
from trueline.cli.limits import limit_options, limits_of
from trueline.errors import TargetError, TruelineError
from trueline.evals.budget import Caps
from trueline.evals.suites import freeze

SUITE = freeze(probes(6))
ABROAD = {"openai": "m", "url": "https://api.example.com/v1", "prompt": "x" * 396}


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://127.0.0.1:8000/v1", None), ("http://localhost/v1", None), ("http://[::1]:1/v1", None), ("http://10.0.0.7/v1", None),
        ("http://192.168.1.9/v1", None), ("http://vllm:8000/v1", None), ("http://box.local/v1", None), ("https://api.openai.com/v1", "api.openai.com"),
        ("http://8.8.8.8/v1", "8.8.8.8"), ("http://134744072/v1", "134744072"), ("http://0x08080808/v1", "0x08080808"), ("http://8.8.2056/v1", "8.8.2056"),
        ("http://2130706433:1/v1", None), ("http://0x7f.1/v1", None), ("http://[2001:4860:4860::8888]/v1", "2001:4860:4860::8888"), ("http://10.0.0.7.example.com/v1", "10.0.0.7.example.com"),
    ],
)  # fmt: skip
def test_whose_endpoint_it_is(url: str, host: str | None) -> None:
    assert foreign_host({"url": url}) == host
    assert foreign_host({"weights": "abc"}) is None


def test_what_is_sent_is_counted() -> None:
    told = sending(SUITE, ABROAD, "api.example.com", samples=2, max_tokens=50)
    assert (told.requests, told.written) == (12, 600)
    assert told.read == 2 * 6 * (396 + 2) // 4
    text = told.told("redteam", Caps(price_in=1e6, price_out=0))
    assert "12 requests to api.example.com (attacks" in text
    assert "refuse 12" in text
    assert "at most about 1194.00 in money" in text


def leave(monkeypatch: pytest.MonkeyPatch, verb: str, terminal: bool, answer: bool | None, **more: bool) -> None:
    def confirm(*_: object, **__: object) -> bool:
        assert answer is not None, "nobody should have been asked"
        return answer

    monkeypatch.setattr(sys.stdin, "isatty", lambda: terminal)
    monkeypatch.setattr(click, "confirm", confirm)
    ask_leave(verb, SUITE, more.pop("of", ABROAD), samples=1, max_tokens=50, yes=more.get("yes", False))  # type: ignore[arg-type]


def test_leave_is_asked_for_on_a_terminal_and_needed_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TargetError, match=r"redteam will send 6 requests to api\.example\.com .* nobody is here to agree; give --yes"):
        leave(monkeypatch, "redteam", False, None)
    leave(monkeypatch, "eval", False, None)
    leave(monkeypatch, "redteam", False, None, yes=True)
    leave(monkeypatch, "redteam", True, None, of={"url": "http://localhost:1/v1"})  # type: ignore[arg-type]
    for verb in ("redteam", "eval"):
        leave(monkeypatch, verb, True, True)
        with pytest.raises(TargetError, match="nothing was sent"):
            leave(monkeypatch, verb, True, False)


def test_both_verbs_ask_before_the_first_request(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from trueline.cli.main import run

    asked: Callable[[], bool] = lambda: False  # noqa: E731
    monkeypatch.setattr(sys.stdin, "isatty", asked)
    command = ["redteam", "openai:m@https://api.example.com/v1", "-c", "bundled:harbor_bank", "--limit", "4"]
    assert run(command) == 64
    assert "nobody is here to agree" in capsys.readouterr().err
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(click, "confirm", lambda *_, **__: False)
    assert run(["eval", *command[1:]]) == 64
    assert "nothing was sent" in capsys.readouterr().err


ABROAD_TARGET, HOME = "openai:m@https://api.example.com/v1", "openai:m@http://127.0.0.1:9/v1"
BANK = ("-c", "bundled:harbor_bank")
FEW = ("--limit", "5", "--requests", "900", "--dev", "40")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("compare", HOME, ABROAD_TARGET, *BANK, "--limit", "5"), "compare will send"),
        (("tune-prompt", ABROAD_TARGET, *BANK, *FEW), "tune-prompt will send"),
        (("tune-prompt", HOME, *BANK, *FEW, "--with", ABROAD_TARGET), "tune-prompt will send"),
        (("tune-prompt", HOME, *BANK, *FEW, "--fine-tuned", ABROAD_TARGET), "tune-prompt will send"),
        (("judge", ABROAD_TARGET, *BANK, "--labels", "labels.jsonl"), "judge will send 2 requests"),
    ],
)
def test_every_verb_that_asks_asks_for_leave_first(
    words: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from trueline.cli.main import run
    from trueline.models.openai_chat import OpenAIChat

    async def reply(*_: object) -> object:
        raise AssertionError("asked before leave was given")

    monkeypatch.chdir(tmp_path)
    probe = written_probes(load_charter(charter_path("bundled:harbor_bank")).charter)[0]
    row = {"probe": probe.id, "reply": "Well.", "result": "pass", "labelled_by": "a test"}
    (tmp_path / "labels.jsonl").write_text(json.dumps(row) + "\n")
    monkeypatch.setattr(OpenAIChat, "reply", reply)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(click, "confirm", lambda *_, **__: False)
    assert run([*words]) == 64
    said = capsys.readouterr().err
    assert "nothing was sent" in said
    assert told in said
    assert "api.example.com" in said
    with pytest.raises(AssertionError, match="asked before leave"):
        run([*words, "--yes"])


def test_options_become_limits() -> None:
    seen = []

    @click.command()
    @limit_options
    def command(**given: object) -> None:
        seen.append(limits_of(16, given))

    command.main(
        ["--max-rps", "5", "--budget-money", "2", "--price-in", "3", "--fixed-concurrency", "--timeout", "9"], standalone_mode=False
    )
    one = seen[0]
    assert (one.concurrency, one.adaptive, one.max_rps, one.timeout, one.caps) == (16, False, 5, 9, Caps(money=2, price_in=3))
    assert one.shared(4).caps.money == 0.5
    assert (one.shared(4).concurrency, one.shared(4).max_rps, one.shared(4).timeout) == (4, 1.25, 9)
    with pytest.raises(TruelineError, match="needs prices"):
        command.main(["--budget-money", "2"], standalone_mode=False)
