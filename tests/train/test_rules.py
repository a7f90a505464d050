"""Rules files: what is right is read and written back exactly, what is wrong is one line with its place; weights are fitted on preferences."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueline.algos.rules import PROPOSITIONS
from trueline.charter.turns import Message
from trueline.core.ports import Reward
from trueline.core.records import Preference
from trueline.errors import RunFileError, TrainingError
from trueline.train.rules import Rule, RuleReward, fit_rules, read_rules, rules_text, write_rules
from trueline.train.scoring import prompt_and_reply

ASKED = (Message("user", "May I have a loan?"),)


def said(reply: str) -> tuple[Message, ...]:
    return (*ASKED, Message("assistant", reply))


class Lengths:
    """A reward of a hundredth a character."""

    def score(self, conversations: Sequence[tuple[Message, ...]]) -> list[float]:
        return [len(c[-1].content) / 100 for c in conversations]


def test_the_example_of_the_docs_is_read(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "rewards.md").read_text()
    path = tmp_path / "rules.yaml"
    path.write_text(page.split("```yaml\n")[1].split("```")[0])
    rules = read_rules(path)
    assert [r.kind for r in rules] == ["contains", "words_at_most", "ends_whole"]
    assert [r.weight for r in rules] == [None, None, 0.2]
    assert rules[1].options == {"words": 80}


@pytest.mark.parametrize("name", list(PROPOSITIONS))
def test_every_proposition_stands_in_the_page_as_it_is(name: str) -> None:
    kind = PROPOSITIONS[name]
    row = f"| `{name}` | {', '.join(f'`{u}`' for u in kind.uses) or '–'} | {kind.says} |"
    assert row in (Path(__file__).parents[2] / "docs" / "rewards.md").read_text().split("\n")


@settings(max_examples=60, deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(
        lambda t: any(c.isalnum() and c.isascii() for c in t)
    ),
    st.floats(allow_nan=False, allow_infinity=False).filter(bool),
)
def test_what_is_written_is_read_back_to_the_last_bit(tmp_path_factory: pytest.TempPathFactory, text: str, weight: float) -> None:
    rules = (
        Rule("a", "contains", {"phrases": (text, "no", "1", "null", "~", "a: b", "# c")}, weight),
        Rule("b", "matches", {"pattern": r"^\s*[\"'x]#: \d"}, None),
        Rule("c", "words_at_least", {"words": 3}, -1e-7),
    )
    path = tmp_path_factory.mktemp("r") / "rules.yaml"
    write_rules(path, rules)
    assert read_rules(path) == rules
    assert [p.name for p in path.parent.iterdir()] == ["rules.yaml"]


GOOD = "rules: 1\npropositions:\n  - id: polite\n    is: contains\n    phrases: [please]\n    weight: 0.5\n"


@pytest.mark.parametrize(
    ("old", "new", "line", "word"),
    [
        ("rules: 1", "rules: 2", 1, "rules: got int 2, expected 1"),
        ("is: contains", "is: polite", 3, "unknown proposition 'polite', expected one of contains"),
        ("is: contains", "as: contains", 4, "unknown key 'as' in propositions.0; known keys here: id, is, phrases"),
        ("    is: contains\n", "", 3, "propositions.0.is is missing"),
        ("phrases: [please]", "phrases: please", 5, 'write phrases: ["please"]'),
        ("phrases: [please]", "phrases: []", 5, "at least one entry"),
        ("phrases: [please]", "phrases: [' ']", 3, "nothing to find"),
        ("phrases: [please]", "words: 3", 3, "words has no effect on contains; remove it, or use words_at_most or words_at_least"),
        ("    phrases: [please]\n", "", 3, "contains needs phrases"),
        ("is: contains\n    phrases: [please]", "is: matches\n    pattern: '(a'", 3, "is not valid"),
        ("is: contains\n    phrases: [please]", "is: words_at_most\n    words: 0", 5, "greater than or equal to 1"),
        ("is: contains\n    phrases: [please]", "is: words_at_most\n    words: true", 5, "expected a number, got true"),
        ("is: contains", "is: ends_whole", 3, "phrases has no effect on ends_whole"),
        ("weight: 0.5", "weight: fitted", 6, "got 'fitted', expected a number or fit"),
        ("weight: 0.5", "weight: true", 6, "got True, expected a number or fit"),
        ("weight: 0.5", "weight:", 6, "got None, expected a number or fit"),
        ("weight: 0.5", "weight: 0", 3, "the weight of polite is 0.0"),
        ("weight: 0.5", "weight: .nan", 6, "got '.nan', expected a number or fit"),
        ("weight: 0.5", "weight: 1e400", 3, "the weight of polite is inf"),
        ("    weight: 0.5\n", "", 3, "propositions.0.weight is missing"),
        ("id: polite", "id: Very Polite", 3, "lower-case words joined by hyphens"),
        (GOOD, GOOD + "  - {id: polite, is: repeats, weight: -1}\n", 7, "the id 'polite' stands twice"),
        (GOOD, "rules: 1\npropositions: []\n", 2, "at least one entry"),
        (GOOD, "", 1, "an empty file"),
        ("[please]", "[please", 6, "bad YAML"),
    ],
)
def test_mistakes_are_one_line_with_their_place(old: str, new: str, line: int, word: str, tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(RunFileError) as caught:
        read_rules(path)
    assert word in str(caught.value)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert "\n" not in str(caught.value)


def test_a_rule_reward_is_the_weighted_sum() -> None:
    rules = (Rule("polite", "contains", {"phrases": ("please",)}, 0.5), Rule("short", "words_at_most", {"words": 2}, -2.0))
    reward = RuleReward(rules)
    assert isinstance(reward, Reward)
    rows = [said("please"), said("a b c"), said("please a b")]
    assert reward.propositions(rows).tolist() == [[1, 1], [0, 0], [1, 0]]
    assert reward.score(rows) == [-1.5, 0.0, 0.5]
    assert reward.score([]) == []
    with pytest.raises(TrainingError, match="the weights of polite are to be fitted"):
        RuleReward((Rule("polite", "repeats", {}, None), rules[1])).score(rows)
    with pytest.raises(RunFileError, match="no rules"):
        RuleReward(())


def test_only_replies_are_scored() -> None:
    assert prompt_and_reply(said("yes"), 1) == (ASKED, "yes")
    for conversation, word in ((ASKED, "conversation 2 ends with a message of the user"), ((), "ends with no message")):
        with pytest.raises(TrainingError, match=word):
            RuleReward((Rule("r", "repeats", {}, 1.0),)).score([said("a"), conversation])


def preferences(n: int, right: float) -> list[Preference]:
    """The reply with `please` is preferred with probability `right`, of random length: the base reward prefers the longer one."""
    source, out = random.Random(3), []
    for i in range(n):
        polite, rude = ("please " + "go " * source.randint(1, 20), "come " * source.randint(1, 20))
        chosen, rejected = (polite, rude) if source.random() < right else (rude, polite)
        out.append(Preference((Message("user", f"q {i}"),), chosen, rejected))
    return out


def test_fitted_weights_find_what_people_prefer() -> None:
    rules = (Rule("polite", "contains", {"phrases": ("please",)}, None), Rule("whole", "ends_whole", {}, 0.3))
    found = fit_rules(rules, Lengths(), preferences(200, 0.9))
    polite, whole = found.rules
    assert polite.weight is not None
    assert polite.weight > 0.5
    assert whole == rules[1]
    assert found.fit.accuracy_after > found.fit.accuracy_before + 0.2
    assert found.fit.accuracy_after == pytest.approx(0.9, abs=0.05)
    assert found.fit.hinge_after < found.fit.hinge_before
    turned = fit_rules(rules, Lengths(), preferences(200, 0.1)).rules[0].weight
    assert turned is not None
    assert turned < -0.5, "what people reject gets a weight below 0"


def test_fixed_rules_stand_on_the_side_of_the_base() -> None:
    """Chosen: please; rejected: x, as long. Ahead by w before anything is fixed; the ridge is small, so w makes up what is left to 1."""
    pairs = [Preference(ASKED, "please", "xxxxxx")] * 3
    open_rule = Rule("polite", "contains", {"phrases": ("please",)}, None)
    alone = fit_rules([open_rule], Lengths(), pairs, ridge=1e-4)
    assert alone.rules[0].weight == pytest.approx(1.0, abs=1e-6)
    fixed = Rule("p", "contains", {"phrases": ("p",)}, 0.25)
    assert fit_rules([fixed, open_rule], Lengths(), pairs, ridge=1e-4).rules[1].weight == pytest.approx(0.75, abs=1e-6)
    assert fit_rules([open_rule], Lengths(), pairs, margin=3.0, ridge=1e-4).rules[0].weight == pytest.approx(3.0, abs=1e-5)


def test_weights_of_pairs_count() -> None:
    for_it, against = (Preference(ASKED, *r) for r in (("please", "xxxxxx"), ("xxxxxx", "please")))
    rule = Rule("polite", "contains", {"phrases": ("please",)}, None)
    heavy = Preference(ASKED, "xxxxxx", "please", weight=3.0)
    assert (fit_rules([rule], Lengths(), [for_it, for_it, against]).rules[0].weight or 0) > 0
    assert (fit_rules([rule], Lengths(), [for_it, for_it, heavy]).rules[0].weight or 0) < 0


def test_what_cannot_be_fitted() -> None:
    pairs = [Preference(ASKED, "please", "xxxxxx")]
    rule = Rule("polite", "contains", {"phrases": ("please",)}, None)
    with pytest.raises(TrainingError, match="none of 1 rules has its weight to be fitted"):
        fit_rules([Rule("r", "repeats", {}, 1.0)], Lengths(), pairs)
    with pytest.raises(TrainingError, match="the rule r has the same value on both sides of all 1 pairs"):
        fit_rules([rule, Rule("r", "repeats", {}, None)], Lengths(), pairs)
    with pytest.raises(TrainingError, match="gives the rule polite the weight 0"):
        fit_rules([rule], Lengths(), [Preference(ASKED, "please" * 40, "x")])
    with pytest.raises(TrainingError, match="no pairs"):
        fit_rules([rule], Lengths(), [])
    with pytest.raises(TrainingError, match="sum 0"):
        fit_rules([rule], Lengths(), [Preference(ASKED, "please", "xxxxxx", weight=0.0)])


def test_a_base_reward_that_is_not_finite_is_named() -> None:
    class Broken:
        def score(self, conversations: Sequence[tuple[Message, ...]]) -> list[float]:
            return [float("nan") if "x" in c[-1].content else 0.0 for c in conversations]

    rule = Rule("polite", "contains", {"phrases": ("please",)}, None)
    with pytest.raises(TrainingError, match="the base reward scores conversation 2 as nan"):
        fit_rules([rule], Broken(), [Preference(ASKED, "please", "xxxxxx")])


def test_a_fitted_file_says_what_was_found(tmp_path: Path) -> None:
    found = fit_rules([Rule("polite", "contains", {"phrases": ("please",)}, None)], Lengths(), preferences(50, 0.9))
    path = tmp_path / "fitted.yaml"
    write_rules(path, found.rules, found.fit)
    first, rest = path.read_text().split("\n", 1)
    assert first.startswith("# Weights fitted on 50 pairs: accuracy 0.")
    assert rest == rules_text(found.rules)
    assert read_rules(path) == found.rules
