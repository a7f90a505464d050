"""White-box attacks of a TARGET: a search on the weights of a local model; a served one has none to give."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueline.cli.targets import Target
from trueline.errors import TargetError

if TYPE_CHECKING:
    from trueline.core.ports import GradientSearch


def open_gradient_search(target: Target) -> GradientSearch:
    """A gradient search on the target's own weights; of a system, on those of the model inside (its prompt comes with the messages, its
    guard is not searched through). Raises `TargetError` for a served model."""
    try:
        from trueline.engine.chat import LocalChat
        from trueline.engine.gradient_search import GcgSearch
    except ImportError as e:
        what = f"white-box attacks need torch and transformers ({e.name} is missing)"
        raise TargetError(what, remedy="pip install 'trueline[train]'") from None
    if not isinstance(target.chat, LocalChat):
        what = f"white-box attacks need local weights, and {target.text} is a served model"
        raise TargetError(what, remedy="give a folder, hf:NAME or bundled:harbor, or leave the white-box attacks out")
    return GcgSearch(target.chat.local)
