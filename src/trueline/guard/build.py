"""The guard of a charter: exact phrases, personal numbers, leaks of the prompt, and learnt heads on what is asked."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trueline.algos.detectors.numbers import find_numbers
from trueline.algos.detectors.phrases import Phrases
from trueline.algos.text.views import plain, views
from trueline.charter.compile.guarding import GuardRule, guard_rules
from trueline.charter.digests import digest_of
from trueline.charter.probes import Probe
from trueline.charter.schema import Charter
from trueline.charter.turns import Message
from trueline.core.records import Finding, Interval, Verdict
from trueline.guard.heads import Heads, train_heads
from trueline.guard.streaming import StreamGuard

LEAK_WORDS = 8  # consecutive words of the system prompt in a reply that count as a leak
CHECKS = 1  # raise it when the same rules and heads come to judge otherwise
WINDOW = 4  # the last user and tool turns that are also read as one text


def leak_phrases(prompt: str) -> tuple[str, ...]:
    """Every run of LEAK_WORDS words of the prompt."""
    words = prompt.split()
    return tuple(" ".join(words[i : i + LEAK_WORDS]) for i in range(len(words) - LEAK_WORDS + 1))


class Guard:
    """Checks questions and replies of one charter. Pure: it remembers nothing between requests."""

    def __init__(self, rules: Sequence[GuardRule], heads: Heads, prompt: str = "") -> None:
        self.rules = {r.clause: r for r in rules}
        self.heads = heads
        self.phrases = {p: r.clause for r in rules for p in r.phrases}
        self.leaks = leak_phrases(prompt)
        self._all = Phrases((*self.leaks, *self.phrases))

    def identity(self) -> Mapping[str, Any]:
        """Digests of what decides its verdicts: rules, heads, and the prompt that must not leak."""
        rules = [asdict(r) for r in self.rules.values()]
        return {"checks": CHECKS, "rules": digest_of(rules), "heads": self.heads.digest(), "leaks": digest_of(list(self.leaks))}

    @property
    def may_hold_output(self) -> bool:
        """Whether reading a reply can show that it needs a person."""
        return any(r.action == "hold" and r.phrases for r in self.rules.values())

    def plain(self, text: str) -> str:
        """The text without hidden characters: what is sent on."""
        return plain(text)

    def check_input(self, messages: Sequence[Message]) -> Verdict:
        """Reads the last question in all its views, then the last turns joined (a request may be split over turns)."""
        # the last words count whoever is said to have said them: a client may begin the assistant's answer, or ask in a system turn
        said = [m.content for i, m in enumerate(messages) if m.role in ("user", "tool") or (i == len(messages) - 1 and m.content)]
        texts = [*views(said[-1])] if said else []
        if len(said) > 1:
            texts += views(" ".join(said[-WINDOW:]))[:1]
        for text in texts:
            found = self.heads.judge(text)
            if found is not None:
                clause, p = found
                finding = Finding("head", clause, 0, len(said[-1]), p)
                return Verdict(self.rules[clause].action, clause, f"the question looks like {clause} ({p:.2f})", (finding,))
        return Verdict("allow")

    def check_output(self, messages: Sequence[Message], text: str) -> Verdict:
        """Exact breaks and leaks stop a reply; card numbers and IBANs are redacted."""
        hit = self._all.first(text)
        if hit is not None:
            clause = self.phrases.get(hit.phrase)
            action = self.rules[clause].action if clause is not None else "refuse"
            name = clause or "leak"
            finding = Finding("phrase", name, hit.start, hit.end, 1.0, "system prompt" if clause is None else "")
            return Verdict(
                action, clause, "the reply repeats the system prompt" if clause is None else f"the reply breaks {clause}", (finding,)
            )
        numbers = tuple(Finding(n.kind, "", n.start, n.end, 1.0) for n in find_numbers(text))
        return Verdict("redact", None, "personal numbers", numbers) if numbers else Verdict("allow")

    def streaming(self, messages: Sequence[Message]) -> StreamGuard:
        """A check of one reply in pieces."""
        return StreamGuard(lambda text: self.check_output(messages, text), self._all)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "trueline" / "guards"


def _write(path: Path, heads: Heads) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    assert heads.model is not None
    used = np.flatnonzero(np.abs(heads.model.weights).max(axis=1) > 0).astype(np.int32)
    told = {
        "labels": heads.model.labels, "actions": heads.actions, "thresholds": heads.thresholds, "unarmed": heads.unarmed,
        "recall": {k: [v.estimate, v.low, v.high, v.n] for k, v in heads.recall.items()},
        "false_alarms": {k: [v.estimate, v.low, v.high, v.n] for k, v in heads.false_alarms.items()},
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    save_file({"used": used, "weights": heads.model.weights[used], "bias": heads.model.bias}, part, {"heads": json.dumps(told)})
    os.replace(part, path)


def _read(path: Path) -> Heads | None:
    """Cached heads, or None where they are not there or damaged (then they are trained again)."""
    import numpy as np
    from safetensors import SafetensorError, safe_open

    from trueline.algos.text.linear import LinearModel
    from trueline.guard.heads import SPEC

    if not path.exists():
        return None
    try:
        with safe_open(path, "numpy") as f:
            told = json.loads(f.metadata()["heads"])
            weights = np.zeros((SPEC.buckets, len(told["labels"])), dtype=np.float32)
            weights[f.get_tensor("used")] = f.get_tensor("weights")
            model = LinearModel(weights, f.get_tensor("bias"), tuple(told["labels"]))
    except (SafetensorError, KeyError, ValueError, OSError, IndexError):
        return None
    recall, alarms = ({k: Interval(v[0], v[1], v[2], int(v[3])) for k, v in told[name].items()} for name in ("recall", "false_alarms"))
    return Heads(model, told["actions"], told["thresholds"], recall, alarms, tuple(told["unarmed"]))


def guard_for(charter: Charter, probes: Sequence[Probe] = (), *, prompt: str = "", cache: Path | None = None) -> Guard:
    """Builds the guard; heads are trained once for a charter and its teach probes and cached by digest."""
    rules = guard_rules(charter)
    taught = [[r.clause, r.kind, r.examples, r.counter_examples] for r in rules], [p.to_dict() for p in probes if p.side == "teach"]
    key = digest_of(["heads-5", *taught])
    path = (cache or _cache()) / f"{key}.safetensors"
    heads = _read(path)
    if heads is None:
        heads = train_heads(rules, probes)
        if heads.model is not None:
            _write(path, heads)
    return Guard(rules, heads, prompt)
