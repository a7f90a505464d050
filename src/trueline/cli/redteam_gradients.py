"""The white-box attacker of a local target behind the prompt and shots that the target stands behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from trueline.charter.turns import Message, message_from
from trueline.cli.redteam_order import Opened
from trueline.core.ports import GradientSearch, SuffixFound
from trueline.errors import TargetError


class BehindPrompt:
    """A gradient search that sees what the model sees: prompt and shots before the conversation, whose own system messages follow the
    prompt."""

    def __init__(self, inner: GradientSearch, prompt: str, shots: tuple[Message, ...] = ()) -> None:
        self._inner, self._prompt, self._shots = inner, prompt, shots

    def search(
        self,
        messages: tuple[Message, ...],
        target: str,
        *,
        steps: int,
        seed: int,
        done: Callable[[str], bool] | None = None,
        state: Path | None = None,
    ) -> SuffixFound:
        """The best suffix within `steps`. Errors as the search inside."""
        own = [m.content for m in messages if m.role == "system"]
        text = "\n\n".join(t for t in (self._prompt, *own) if t)
        head = (Message("system", text),) if text else ()
        rest = tuple(m for m in messages if m.role != "system")
        return self._inner.search((*head, *self._shots, *rest), target, steps=steps, seed=seed, done=done, state=state)


def gradients_of(opened: Opened) -> GradientSearch:
    """The search over the target's weights. Raises `TargetError` for a target whose weights are not here."""
    if not hasattr(opened.target.chat, "local"):  # known before torch is loaded
        what = f"the search gcg needs local weights, and {opened.text} is served"
        raise TargetError(what, remedy="attack a folder, hf:NAME or bundled:harbor, or leave gcg out")
    from trueline.cli.whitebox import open_gradient_search

    told = opened.asked.chat.identity()
    shots = tuple(message_from(m) for m in told.get("shots", ()))
    return BehindPrompt(open_gradient_search(opened.target), str(told.get("prompt", "")), shots)
