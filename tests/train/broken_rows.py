"""Broken rows and files."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

from tests.train.broken import DEMOS, LABELLED, PAIRS, PROMPTS, RANKED, RATED, Case, Place, skipped, written

U, A = {"role": "user", "content": "Fee?"}, {"role": "assistant", "content": "Four."}
CALL = {"role": "assistant", "content": "Wait.", "tool_calls": [{"id": "1", "function": {"name": "fee", "arguments": "{}"}}]}
GOOD = {"sft": DEMOS, "dpo": PAIRS, "kto": LABELLED, "grpo": PROMPTS}
LONG = "word " * 600


def one(method: str, row: Any, *more: str) -> Callable[[Place], list[str]]:
    """Twelve good rows and a bad one behind them."""
    return lambda p: p.train(method, *more, rows=[*GOOD[method], row])


def judged(loss: str, good: list[Any], row: Any) -> Callable[[Place], list[str]]:
    """As `one`, for a reward model of this loss."""
    return lambda p: p.train("reward", "--loss", loss, "--held-out", "0", rows=[*good, row])


def every(method: str, *more: object, **change: Any) -> Callable[[Place], list[str]]:
    """The good rows, each changed."""
    return lambda p: p.train(method, *more, rows=[{**row, **change} for row in GOOD[method]])


def raw(method: str, content: Callable[[bytes], bytes], name: str = "x.jsonl") -> Callable[[Place], list[str]]:
    """A file whose bytes are changed."""

    def make(p: Place) -> list[str]:
        good = written(p / "good.jsonl", GOOD[method]).read_bytes()
        (p / name).write_bytes(content(good))
        return p.train(method, file=p / name)

    return make


def flipped(packed: bytes) -> bytes:
    middle = len(packed) // 2
    return packed[:middle] + bytes(b ^ 0xA5 for b in packed[middle : middle + 4]) + packed[middle + 4 :]


def turned(pair: dict[str, Any]) -> dict[str, Any]:
    return {**pair, "chosen": pair["rejected"], "rejected": pair["chosen"]}


def folder(p: Place) -> list[str]:
    (p / "x.jsonl").mkdir()
    return p.train("sft", file=p / "x.jsonl")


def trimming(p: Place) -> list[str]:
    from trueline.engine.tiny import TEMPLATE

    p.tokenizer(TEMPLATE.replace("m['content']", "m['content'] | trim"))
    return p.train("dpo", rows=[*PAIRS, {"prompt": "Fee?", "chosen": "Four.", "rejected": "Four. "}])


ROWS: dict[str, Case] = {
    "an empty reply": Case(one("sft", {"prompt": "a", "completion": ""}), "data.jsonl:13: an empty reply teaches to say nothing"),
    "a reply of spaces": Case(one("sft", {"prompt": "a", "completion": " \n"}), "data.jsonl:13: an empty reply teaches to say nothing"),
    "a reply of marks without width": Case(one("sft", {"prompt": "a", "completion": "\u200b\u2060"}), "data.jsonl:13: an empty reply"),
    "an empty reply to be preferred": skipped(one("dpo", {"prompt": "a", "chosen": "", "rejected": "b"}), rows=12, left_out=1),
    "an empty reply with a label": skipped(one("kto", {"prompt": "a", "completion": " ", "label": True}), rows=12, left_out=1),
    "a prompt of spaces to sft": Case(one("sft", {"prompt": " ", "completion": "b"}), "data.jsonl:13: the user's last turn is empty"),
    "a prompt of spaces to dpo": skipped(one("dpo", {"prompt": " ", "chosen": "a", "rejected": "b"}), rows=12, left_out=1),
    "a prompt of spaces to kto": skipped(one("kto", {"prompt": " ", "completion": "a", "label": True}), rows=12, left_out=1),
    "a prompt of spaces to grpo": skipped(one("grpo", {"prompt": " "}, "--held-out", "0"), rows=12, left_out=1),
    "a prompt longer than the context": skipped(one("sft", {"prompt": LONG, "completion": "b"}), rows=12, too_long=1),
    "one reply of a pair longer than the context": skipped(one("dpo", {"prompt": "a", "chosen": LONG, "rejected": "b"}), rows=12, too_long=1),
    "a prompt that leaves no room for a reply": skipped(one("grpo", {"prompt": LONG}, "--held-out", "0"), rows=12, too_long=1),
    "all rows longer than max_tokens": Case(lambda p: p.train("sft", "--max-tokens", 8), "none of 12 examples fits 8 tokens; raise max_tokens", 70),
    "all pairs longer than max_tokens": Case(lambda p: p.train("dpo", "--max-tokens", 8), "none of 12 pairs fits 8 tokens", 70),
    "replies as long as the context": Case(lambda p: p.train("grpo", "--max-new-tokens", 512), "leaves 512 tokens of the model's 512", 70),
    "chosen = rejected": skipped(one("dpo", {"prompt": "a", "chosen": "b", "rejected": "b"}), rows=12, left_out=1),
    "chosen = rejected in all rows": Case(every("dpo", chosen="b", rejected="b"), "data.jsonl:1: chosen and rejected are the same text"),
    "chosen = rejected once the template has trimmed them": skipped(trimming, rows=12, left_out=1),
    "pairs that contradict each other": skipped(one("dpo", turned(PAIRS[0])), rows=13, audit="2 rows that contradict another"),
    "a reply with both labels": skipped(one("kto", {**LABELLED[0], "label": False}), rows=13, audit="2 rows that contradict another"),
    "duplicate rows": skipped(lambda p: p.train("sft", rows=[*DEMOS, *DEMOS[:3]]), rows=15, audit="3 duplicates"),
    "duplicate prompts": skipped(lambda p: p.train("grpo", "--held-out", "0", rows=[*PROMPTS, *PROMPTS[:3]]), rows=12, left_out=3),
    "an unknown role": Case(one("sft", {"messages": [{"role": "human", "content": "a"}, A]}), "data.jsonl:13: unknown role 'human'"),
    "a conversation that ends with the user": Case(one("sft", {"messages": [U, A, U]}), "data.jsonl:13: messages must end with the assistant"),
    "a conversation without a user": Case(one("sft", {"messages": [{"role": "system", "content": "s"}, A]}), "the prompt ends with the system"),
    "two replies in a row": Case(one("sft", {"messages": [U, A, A]}), "data.jsonl:13: the prompt ends with the assistant"),
    "turns between prompt and reply": Case(one("dpo", {"prompt": "a", "chosen": [A, U, A], "rejected": "b"}), "chosen has 2 turns before its reply"),
    "chosen belongs to another prompt": Case(one("dpo", {"prompt": "a", "chosen": [U, A], "rejected": "b"}), "chosen has 1 turns before its reply"),
    "a reply that calls a tool": Case(one("sft", {"messages": [U, CALL]}), "data.jsonl:13: the reply calls the tool 'fee'"),
    "pairs to sft": Case(lambda p: p.train("sft", rows=PAIRS), "data.jsonl:1: this row has 'rejected', expected a demonstration"),
    "labelled rows to sft": Case(lambda p: p.train("sft", rows=LABELLED), "data.jsonl:1: this row has 'label', expected a demonstration"),
    "ratings to sft": Case(lambda p: p.train("sft", rows=RATED), "data.jsonl:1: this row has 'rating', expected a demonstration"),
    "demonstrations to dpo": Case(lambda p: p.train("dpo", rows=DEMOS), "data.jsonl:1: 'chosen' is missing"),
    "single replies to reward": Case(lambda p: p.train("reward", rows=DEMOS), "data.jsonl:1: 'chosen' is missing"),
    "a label that is no truth": Case(one("kto", {**LABELLED[0], "label": 1}), "data.jsonl:13: label must be true (desirable) or false, got 1"),
    "all labels alike": skipped(every("kto", label=True), rows=12, note="no row is undesirable"),
    "one prompt for all labels": Case(every("kto", prompt="a"), "all rows have the same prompt", 70),
    "a rating off the scale": skipped(judged("ordinal", RATED, {**RATED[0], "rating": 99}), ratings="5: 2, 99: 1"),
    "half a rating": Case(judged("ordinal", RATED, {**RATED[0], "rating": 2.5}), "data.jsonl:13: rating must be a whole number"),
    "all ratings alike": Case(lambda p: p.train("reward", "--loss", "ordinal", rows=[{**r, "rating": 3} for r in RATED]), "1 different ratings"),
    "a ranking of ties": skipped(judged("plackett-luce", RANKED, {**RANKED[0], "ranks": [1, 1, 1]}), left_out=1),
    "a ranking of one reply": Case(judged("plackett-luce", RANKED, {**RANKED[0], "completions": ["a"]}), "data.jsonl:13: completions must be a list of 2"),
    "fewer ranks than replies": Case(judged("plackett-luce", RANKED, {**RANKED[0], "ranks": [1, 2]}), "data.jsonl:13: ranks must be a list of 3"),
    "a negative weight": Case(one("dpo", {**PAIRS[0], "weight": -1}), "data.jsonl:13: weight must be a number of at least 0"),
    "a weight that is no number": Case(one("kto", json.dumps({**LABELLED[0], "weight": float("nan")})), "data.jsonl:13: weight must be a number"),
    "a weight that overflows": Case(one("dpo", {**PAIRS[0], "weight": 1e300}), "data.jsonl:13: weight must be a number of at least 0 and at most 1e+06"),
    "all row weights 0": Case(every("dpo", weight=0), "all 12 weights are 0, so nothing is learnt", 70),
    "a weight where none counts": Case(one("sft", {**DEMOS[0], "weight": 0}), "data.jsonl:13: weight 0 has no effect on a demonstration"),
    "a margin that is no number": Case(one("dpo", json.dumps({**PAIRS[0], "margin": float("nan")})), "data.jsonl:13: margin must be a number"),
    "margins that do not count": skipped(every("dpo", margin=2), rows=12, margins="12 of 12 pairs have a margin"),
    "control tokens in a prompt": skipped(one("sft", {"prompt": "Hi<|end|><|assistant|>Sure", "completion": "b"}), rows=12, left_out=1),
    "control tokens in a reply": skipped(one("dpo", {"prompt": "a", "chosen": "b<|end|><|user|>c", "rejected": "d"}), rows=12, left_out=1),
    "control tokens in a prompt to draw from": skipped(one("grpo", {"prompt": "Hi<|end|>"}, "--held-out", "0"), rows=12, left_out=1),
    "a folder as data": Case(folder, "x.jsonl: cannot read this file (Is a directory)"),
    "no such file": Case(lambda p: p.train("sft", file=p / "none.jsonl"), "none.jsonl: cannot read this file"),
    "a file of 0 bytes": Case(raw("sft", lambda _: b""), "x.jsonl: this file has no rows"),
    "a file of blank lines": Case(raw("dpo", lambda _: b"\n \n"), "x.jsonl: this file has no rows"),
    "a gzip file that is cut off": Case(raw("dpo", lambda b: gzip.compress(b)[:-40], "x.jsonl.gz"), "x.jsonl.gz: this gzip file is cut short"),
    "a gzip file with flipped bits": Case(raw("dpo", lambda b: flipped(gzip.compress(b)), "x.jsonl.gz"), "x.jsonl.gz: "),
    "a gzip file without its ending": Case(raw("dpo", gzip.compress), "x.jsonl:1: this line is not JSON"),
    "a file in UTF-16": Case(raw("sft", lambda b: b.decode().encode("utf-16")), "x.jsonl:1: this line is not JSON"),
    "a file with a byte order mark": Case(raw("sft", lambda b: b"\xef\xbb\xbf" + b), "x.jsonl:1: this line is not JSON (JSONDecodeError: Unexpected UTF-8 BOM"),
    "a line that is cut off": Case(raw("sft", lambda b: b[:-20]), "x.jsonl:12: this line is not JSON"),
    "a line of null": Case(raw("sft", lambda b: b + b"null\n"), "x.jsonl:13: a row must be an object, got NoneType"),
    "zeros behind the last line": Case(raw("sft", lambda b: b + bytes(4096)), "x.jsonl:13: this line is not JSON"),
    "half a character": Case(raw("sft", lambda b: b + b'{"prompt": "\\ud83d", "completion": "b"}\n'), "x.jsonl:13: this line is not JSON"),
    "a key that stands twice": Case(raw("sft", lambda b: b + b'{"prompt": "a", "completion": "b", "completion": "c"}\n'), "the key 'completion' stands twice"),
    "one JSON list": Case(raw("sft", lambda b: json.dumps(DEMOS).encode()), "x.jsonl:1: a row must be an object, got list"),
}  # fmt: skip
