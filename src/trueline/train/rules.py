"""Rules as a reward: a file of propositions with weights, given or fitted on preferences beside a reward model (2411.01111).

In order: the file is read and checked, its propositions are made ready, `fit` weights are fitted, the result is written as a file again.
Left out on purpose: propositions that ask a model. A reward model or a judge is a term of its own in `rewarding`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, create_model
from ruamel.yaml import YAML

from trueline.algos.rule_weights import RIDGE, Fit, fitted_weights
from trueline.algos.rules import OPTIONS, Proposition, proposition
from trueline.charter.parse import read_yaml, validate
from trueline.charter.schema import Identifier
from trueline.charter.turns import Message
from trueline.charter.yaml_document import YamlDocument, line_at
from trueline.core.ports import Reward
from trueline.core.records import Preference
from trueline.errors import RunFileError, TrainingError
from trueline.train.runfile import Count, Part
from trueline.train.scoring import Conversations, prompt_and_reply, scores_of

FIT = "fit"
LEAST = 1e-6  # reward; a fitted weight nearer to 0 than this changes nothing

# `is` is a word of Python, so this field cannot be written in a class; the weight is checked where its line is known
_FIELDS: dict[str, Any] = {
    "id": (Identifier, ...),
    "is": (str, ...),
    "phrases": (Annotated[tuple[str, ...], Field(min_length=1)] | None, None),
    "pattern": (str | None, None),
    "words": (Count | None, None),
    "weight": (Any, ...),
}
_RulePart: type[Part] = create_model("RulePart", __base__=Part, **_FIELDS)


class RulesFile(Part):
    """`rules: 1`, then the propositions."""

    rules: Literal[1]
    propositions: Annotated[tuple[_RulePart, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Rule:
    """id: its name in reports; kind and options: of `algos.rules.PROPOSITIONS`; weight: reward per unit of the proposition, None where it
    is to be fitted. Raises `RunFileError` as `proposition` does, and for a weight of 0 or one that is not finite."""

    id: str
    kind: str
    options: Mapping[str, Any]
    weight: float | None

    def __post_init__(self) -> None:
        proposition(self.kind, self.options)
        if self.weight is not None and (self.weight == 0 or not np.isfinite(self.weight)):
            what = f"the weight of {self.id} is {self.weight}, expected a finite number other than 0"
            raise RunFileError(what, remedy="remove the rule, or write weight: fit")


def read_rules(path: Path) -> tuple[Rule, ...]:
    """Reads and checks a rules file. Raises `RunFileError` (file:line) for the first thing that is wrong."""
    document = read_yaml(path, RunFileError)
    told = validate(document, RulesFile, path, RunFileError).model_dump()["propositions"]
    rules: list[Rule] = []
    for i, part in enumerate(told):
        try:
            if part["id"] in [r.id for r in rules]:
                raise RunFileError(f"the id {part['id']!r} stands twice", remedy="rename one of them")
            options = {name: part[name] for name in OPTIONS if part[name] is not None}
            rules.append(Rule(part["id"], part["is"], options, _weight(part["weight"], document, path, i)))
        except RunFileError as e:
            at = e.line or line_at(document.lines, ("propositions", i))
            raise RunFileError(e.what, remedy=e.remedy, file=path, line=at) from None
    return tuple(rules)


def _weight(got: object, document: YamlDocument, path: Path, i: int) -> float | None:
    if got == FIT:
        return None
    if isinstance(got, bool) or not isinstance(got, int | float):
        line = line_at(document.lines, ("propositions", i, "weight"))
        what = f"propositions.{i}.weight: got {got!r:.40}, expected a number or {FIT}"
        raise RunFileError(what, remedy=f"write a number or weight: {FIT}", file=path, line=line)
    return float(got)


def rules_text(rules: Sequence[Rule]) -> str:
    """The file that `read_rules` reads as these rules: weights to the last bit."""
    entries = [
        {"id": r.id, "is": r.kind, **{k: list(v) if isinstance(v, tuple) else v for k, v in r.options.items()},
         "weight": FIT if r.weight is None else r.weight}
        for r in rules
    ]  # fmt: skip
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.allow_unicode, yaml.width = False, True, 1 << 20
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    if "\\x85" in str(entries):  # NEL written plain is read back as a space, and only escaped it is not
        yaml.allow_unicode = False
    out = StringIO()
    yaml.dump({"rules": 1, "propositions": entries}, out)
    return out.getvalue()


def write_rules(path: Path, rules: Sequence[Rule], fit: Fit | None = None) -> None:
    """Writes the rules whole or not at all, and above them what the fit found."""
    head = ""
    if fit is not None:
        head = (
            f"# Weights fitted on {fit.n} pairs: accuracy {fit.accuracy_before:.4f} -> {fit.accuracy_after:.4f}, "
            f"hinge {fit.hinge_before:.4f} -> {fit.hinge_after:.4f}, on these same pairs.\n"
        )
    beside = path.with_name(path.name + ".part")
    beside.write_text(head + rules_text(rules), encoding="utf-8")
    os.replace(beside, path)


@dataclass(frozen=True, slots=True)
class RuleReward:
    """Implements `core.ports.Reward`: sum of w_i phi_i. Made ready once; `score` needs all weights."""

    rules: tuple[Rule, ...]
    made: tuple[Proposition, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.rules:
            raise RunFileError("no rules, expected at least one", remedy="give a rule")
        object.__setattr__(self, "made", tuple(proposition(r.kind, r.options) for r in self.rules))

    def propositions(self, conversations: Conversations) -> NDArray[np.float64]:
        """(n, k) in [0, 1]: each proposition of each conversation's last message. Raises `TrainingError` where that is not a reply."""
        out = np.zeros((len(conversations), len(self.made)))
        for n, conversation in enumerate(conversations):
            prompt, reply = prompt_and_reply(conversation, n + 1)
            out[n] = [phi(prompt, reply) for phi in self.made]
        return out

    def score(self, conversations: Conversations) -> list[float]:
        """One reward a conversation, in the unit of the weights. Raises `TrainingError` where a weight is still to be fitted."""
        open_ones = [r.id for r in self.rules if r.weight is None]
        if open_ones:
            raise TrainingError(f"the weights of {', '.join(open_ones)} are to be fitted", remedy="fit them on preferences first")
        weights = np.array([r.weight for r in self.rules], dtype=np.float64)
        return [float(x) for x in self.propositions(conversations) @ weights]


@dataclass(frozen=True, slots=True)
class FittedRules:
    """rules: as given, with all weights; fit: of those that were to be fitted, in their order."""

    rules: tuple[Rule, ...]
    fit: Fit


def fit_rules(
    rules: Sequence[Rule], base: Reward, preferences: Sequence[Preference], margin: float = 1.0, ridge: float = RIDGE
) -> FittedRules:
    """Fits the weights that are `fit` so that base + rules put the chosen reply `margin` ahead (2411.01111; `algos.rule_weights`).

    Give preferences that the base reward did not learn from: on those that it did it is already ahead, and the rules get too little.
    Rules with a weight count as part of the base. A pair counts by its `weight`; its own `margin` is in another unit and is left alone.
    Raises `TrainingError` where nothing is to be fitted, and for a rule that the pairs say nothing of or give no weight."""
    of_fit = [i for i, r in enumerate(rules) if r.weight is None]
    if not of_fit:
        raise TrainingError(
            f"none of {len(rules)} rules has its weight to be fitted", remedy=f"write weight: {FIT}, or use them as they are"
        )
    sides = [(*p.prompt, Message("assistant", reply)) for p in preferences for reply in (p.chosen, p.rejected)]
    phi = RuleReward(tuple(rules)).propositions(sides).reshape(len(preferences), 2, len(rules))
    fixed = np.array([r.weight or 0.0 for r in rules])
    rewards = scores_of("the base reward", base, sides).reshape(len(preferences), 2)
    weights = np.array([p.weight for p in preferences], dtype=np.float64)
    for i in of_fit:
        if weights.any() and not (phi[weights > 0, 0, i] != phi[weights > 0, 1, i]).any():
            what = f"the rule {rules[i].id} has the same value on both sides of all {len(preferences)} pairs: there is nothing to fit it on"
            raise TrainingError(what, remedy="remove it, give its weight, or give pairs that differ in it")
    fit = fitted_weights(rewards + phi @ fixed, phi[:, :, of_fit], margin, ridge, weights)
    found = dict(zip(of_fit, fit.weights, strict=True))
    for i, weight in found.items():
        if abs(weight) < LEAST:
            what = f"the fit gives the rule {rules[i].id} the weight 0: the pairs do not ask for it"
            raise TrainingError(what, remedy="remove it or give its weight")
    return FittedRules(tuple(replace(r, weight=found[i]) if i in found else r for i, r in enumerate(rules)), fit)
