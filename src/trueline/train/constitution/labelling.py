"""AI preferences: pairs of sampled replies, one principle a pair, asked in both orders (2212.08073, section 4.1).

In order: sample replies, leave out pairs whose replies are the same, draw a principle, ask with each reply once as (A) and once as (B)
(with chain of thought: let the critic think first), average the two orders in probability, clamp where it thought, and measure what the
place alone was worth. What it leaves out on purpose: few-shot examples of the choice, and any human label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trueline.algos.stats.binomial import clopper_pearson
from trueline.charter.compile.constitution import choice_request
from trueline.charter.schema import Principle
from trueline.charter.turns import Message, behind
from trueline.core.chat import Sampling
from trueline.core.records import Interval
from trueline.train.constitution.asking import Asker, Progress, seed_of, side_by_side
from trueline.train.constitution.choosing import Chooser, Question
from trueline.train.constitution.principles import drawn
from trueline.train.constitution.records import Answer, Choice, Label, Pair, RedTeamPrompt

CLAMP = (0.4, 0.6)  # 2212.08073, section 4.1: thought-through answers are nearly 0 or 1, and so is the model when it is wrong
THINK = "Let us think step by step."
FINAL = "So which reply keeps the rule better? Answer (A) or (B)."


@dataclass(frozen=True, slots=True)
class LabelSettings:
    """pairs of replies to each prompt; own: probability that the principle is the prompt's own; temperature and tokens of the sampled
    replies; system: prompt before them; thoughts: whether the critic thinks before it chooses, which clamps the label; think_tokens and
    critic_temperature of those thoughts."""

    pairs: int = 1
    own: float = 1.0
    temperature: float = 1.0
    critic_temperature: float = 1.0
    tokens: int = 128
    system: str = ""
    thoughts: bool = False
    think_tokens: int = 256
    seed: int = 0
    concurrency: int = 64


@dataclass(frozen=True, slots=True)
class Sampled:
    """pairs that can be compared; same: pairs left out because their replies are one text; empty: because one has no words or was not
    taken."""

    pairs: tuple[Pair, ...]
    same: int
    empty: int


async def sample_pairs(
    writers: Mapping[str, Asker], prompts: Sequence[RedTeamPrompt], s: LabelSettings, progress: Progress | None = None
) -> Sampled:
    """Two sampled replies for each pair of each prompt: both of the one model in `writers` (name -> model), or one of each of two, which
    differ where one model rarely differs from itself."""
    assert len(writers) in (1, 2)
    names = [*writers, *writers][:2]
    jobs = [(p, k) for p in prompts for k in range(2 * s.pairs)]

    async def one(job: tuple[RedTeamPrompt, int]) -> Answer:
        prompt, k = job
        seed = seed_of(s.seed, "preference", prompt.key, k)
        return await writers[names[k % 2]].ask(behind(s.system, prompt.messages), Sampling(s.temperature, max_tokens=s.tokens, seed=seed))

    said = await side_by_side(jobs, one, s.concurrency, progress)
    made = [Pair(jobs[i][0], said[i].text, said[i + 1].text, (names[0], names[1])) for i in range(0, len(jobs), 2)]
    spoken = [p for p in made if p.one and p.two]
    different = tuple(p for p in spoken if p.one != p.two)
    return Sampled(different, len(spoken) - len(different), len(made) - len(spoken))


def both_orders(pair: Pair, principle: Principle) -> tuple[str, str]:
    """The two requests: `one` as (A), then `two` as (A)."""
    messages = pair.prompt.messages
    return choice_request(principle, messages, pair.one, pair.two), choice_request(principle, messages, pair.two, pair.one)


def averaged(first: float | None, second: float | None, clamp: tuple[float, float] | None) -> tuple[float | None, float | None]:
    """(p before the clamp, p): the mean of the probability of `one` in both orders; `first` and `second` are those of (A). None where an
    order is unscored: half an answer is no answer, its place would count in full."""
    if first is None or second is None:
        return None, None
    raw = (first + 1.0 - second) / 2
    return raw, raw if clamp is None else min(max(raw, clamp[0]), clamp[1])


async def _thoughts(thinker: Asker, requests: Sequence[str], s: LabelSettings, progress: Progress | None) -> list[Answer]:
    async def one(request: str) -> Answer:
        seed = seed_of(s.seed, "thoughts", request)
        turns = (Message("user", f"{request} {THINK}"),)
        return await thinker.ask(turns, Sampling(s.critic_temperature, max_tokens=s.think_tokens, seed=seed))

    return await side_by_side(requests, one, s.concurrency, progress)


def _question(request: str, thought: Answer | None) -> Question:
    asked = Message("user", request)
    if thought is None:
        return (asked,)
    return (Message("user", f"{request} {THINK}"), Message("assistant", thought.text), Message("user", FINAL))


async def label_pairs(
    pairs: Sequence[Pair],
    principles: Sequence[Principle],
    chooser: Chooser,
    settings: LabelSettings,
    thinker: Asker | None = None,
    progress: Progress | None = None,
) -> list[Label]:
    """A label of every pair, in order. `thinker`: the critic as a `ChatModel`, for the thoughts. A thought that is empty or was not taken
    leaves its order unscored."""
    assert (thinker is not None) == settings.thoughts
    picked = [drawn(principles, p.prompt.clause, 1, settings.own, settings.seed, f"label {p.prompt.key} {p.one} {p.two}")[0] for p in pairs]
    requests = [r for p, (principle, _) in zip(pairs, picked, strict=True) for r in both_orders(p, principle)]
    thoughts: list[Answer] | list[None] = await _thoughts(thinker, requests, settings, progress) if thinker else [None] * len(requests)
    able = [i for i, t in enumerate(thoughts) if t is None or t.text]
    found = await chooser.choose([_question(requests[i], thoughts[i]) for i in able], progress)
    choices = dict(zip(able, found, strict=True))
    out = []
    for k, (pair, (principle, own)) in enumerate(zip(pairs, picked, strict=True)):
        a, b = (choices.get(i, Choice(None, 0)) for i in (2 * k, 2 * k + 1))
        raw, p = averaged(a.first, b.first, CLAMP if settings.thoughts else None)
        said = [t.text if t is not None else "" for t in thoughts[2 * k : 2 * k + 2]]
        out.append(Label(pair, principle.id, own, (requests[2 * k], requests[2 * k + 1]), (said[0], said[1]), (a, b), raw, p))
    return out


@dataclass(frozen=True, slots=True)
class PositionBias:
    """scored and unscored pairs; unparsed: answers that were no letter; first_place: mean probability of (A) over both orders, 0.5 where
    the place counts for nothing; disagree: share of the scored pairs whose two orders prefer the same place, and so different replies;
    sure: mean of |2p - 1|. None where no pair was scored."""

    scored: int
    unscored: int
    unparsed: int
    first_place: float | None
    disagree: Interval | None
    sure: float | None

    def words(self) -> str:
        """One line for a person."""
        if self.first_place is None or self.disagree is None:
            return f"insufficient evidence: none of {self.unscored} pairs was scored"
        d = self.disagree
        told = f"mean probability of the first place {self.first_place:.3f} (0.5: no bias); the two orders disagree on {100 * d.estimate:.1f} %"
        return f"{told} of {self.scored} pairs ({100 * d.low:.1f} to {100 * d.high:.1f}); {self.unscored} unscored, {self.unparsed} answers no letter"


def position_bias(labels: Sequence[Label]) -> PositionBias:
    """What the place alone was worth, over the labels that were scored in both orders."""
    unparsed = sum(c.unparsed for label in labels for c in label.choices)
    firsts = [(a.first, b.first) for a, b in (label.choices for label in labels) if a.first is not None and b.first is not None]
    if not firsts:
        return PositionBias(0, len(labels), unparsed, None, None, None)
    apart = sum((a - 0.5) * (b - 0.5) > 0 for a, b in firsts)
    place = sum(a + b for a, b in firsts) / (2 * len(firsts))
    sure = sum(abs(2 * label.p - 1) for label in labels if label.p is not None) / len(firsts)
    return PositionBias(len(firsts), len(labels) - len(firsts), unparsed, place, clopper_pearson(apart, len(firsts)), sure)
