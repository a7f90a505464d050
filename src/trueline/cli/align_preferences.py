"""The user's own preferences in an alignment run: read once, split by prompt, and the held-out ones measured before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from trueline.charter.digests import digest_file
from trueline.charter.turns import Message
from trueline.core.records import Preference
from trueline.data.conversations import read_preferences, split_by_prompt

if TYPE_CHECKING:
    from trueline.cli.align_phases import Run


@dataclass(frozen=True, slots=True)
class OwnPreferences:
    """`train` teaches; `held_out` (other prompts) only measures. All stand behind the run's prompt."""

    train: list[Preference]
    held_out: list[Preference]


def own_preferences(run: Run) -> OwnPreferences:
    """The pairs of `data.preferences`; both sides empty where none are named. Says what was left out."""
    given = run.named(run.file.data.preferences)
    if given is None:
        return OwnPreferences([], [])
    own = read_preferences(given)
    if own.left_out:
        run.say(f"data.preferences: {own.words()}")
    # split by the prompt as the file has it, so that another system prompt never moves a pair to the other side
    sides = split_by_prompt(list(own.pairs), run.file.data.held_out)
    return OwnPreferences(*([_behind(run, p) for p in side] for side in sides))


def _behind(run: Run, pair: Preference) -> Preference:
    if not run.prompt or pair.prompt[0].role == "system":
        return pair
    return replace(pair, prompt=(Message("system", run.prompt), *pair.prompt))


def accuracy_phase(run: Run, name: str, model: str, digest: str) -> dict[str, Any] | None:
    """The model's agreement with the held-out pairs, kept in `out/held_out/NAME`; None where nothing is held out."""
    from trueline.cli.align_phases import phase
    from trueline.engine.loading import load_local
    from trueline.train.preference_accuracy import preference_accuracy

    if not run.file.data.held_out:
        return None
    given = run.named(run.file.data.preferences)
    assert given is not None  # the run file says so
    inputs: Mapping[str, Any] = {
        "model": digest,
        "preferences": digest_file(given),
        "held_out": run.file.data.held_out,
        "prompt": run.prompt,
    }
    done = phase(
        run, f"held_out/{name}", inputs, lambda _: {"accuracy": preference_accuracy(load_local(model), own_preferences(run).held_out)}
    )
    found: dict[str, Any] = done["accuracy"]
    run.say(f"held-out preferences, {name}: {accuracy_words(found)}")
    return found


def accuracy_words(found: Mapping[str, Any]) -> str:
    """One line for a person."""
    if not found["n"]:
        return str(found["note"])
    left = f", {found['too_long']} left out as too long" if found["too_long"] else ""
    return (
        f"{100 * found['estimate']:.1f} % as people chose ({100 * found['low']:.1f} to {100 * found['high']:.1f}, n = {found['n']}{left})"
    )
