"""Attention of shared and packed rows on a GPU by FlexAttention: blocks of a row that nobody may see are skipped ("Flex Attention", 2412.05496).

What a token sees is written as a function of two places, from the groups and replies of the layout, and compiled into one kernel. Whether
a loaded model computes it as it does a mask, value and gradient, and whether that is faster, is tried once on it, for every doubling of
a row's length. On an H100 and half a billion parameters in bfloat16 a mask is faster on rows of one pair (768 tokens 1.32 times, 1,792 1.17
times, 3,072 1.09 times), blocks on long packed rows (12,288 tokens: 2.2 times). Elsewhere (a soft cap, attention sinks, an attention of its
own, a window, a processor) the mask stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch

from trueline.data.jsonl import write_json
from trueline.errors import TrainingError
from trueline.train.checkpoint import recalled
from trueline.train.distributed import size as processes
from trueline.train.head import body_of
from trueline.train.layout import Layout, Mask
from trueline.train.own_attention import ERRORS, WINDOWS, attending, refuse_unknown

NAME = "trueline_blocks"
FILE = "attention.json"
SHORT = 512  # tokens of a row below which there are too few blocks of 128 to skip any
TIE = 0.05  # share by which blocks must be faster to be taken
CLOSE, SLACK = 0.05, 0.1  # relative: to the largest hidden state, and of a gradient; the two kernels round differently in 16 bits
_HALVES = (torch.bfloat16, torch.float16)  # in float32, in which sharing is proven, the mask is the yardstick
# of a model's body, by the binary digits of a row's length
_tried: WeakKeyDictionary[Any, dict[int, tuple[bool, str]]] = WeakKeyDictionary()
# of a model's body, the run's folder and key
_kept: WeakKeyDictionary[Any, tuple[Path, str]] = WeakKeyDictionary()
_compiled: Callable[..., Any] | None = None
_blocks: Any = None


def sees(layout: Layout) -> Callable[..., torch.Tensor]:
    """(row, head, query, key) -> whether query sees key: earlier, of its own group, in the prompt or its own reply. Padding sees itself."""
    pair, part = layout.pair, layout.part

    def mod(b: torch.Tensor, _h: torch.Tensor, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        own = (part[b, k] == 0) | (part[b, k] == part[b, q])
        return ((q >= k) & own & (pair[b, q] == pair[b, k])) | (q == k)

    return mod


def blocks_of(layout: Layout) -> Any:
    """The block mask of a layout: which blocks of 128 x 128 are seen whole, in part, or not at all."""
    from torch.nn.attention.flex_attention import create_block_mask

    rows, width = layout.ids.shape
    return create_block_mask(sees(layout), rows, None, width, width, device=str(layout.ids.device))


def _kernel(device: torch.device) -> Callable[..., Any]:
    """Compiled where there is a GPU; on a processor the plain form, which only tests use."""
    global _compiled
    from torch.nn.attention.flex_attention import flex_attention

    if device.type != "cuda":
        return flex_attention
    if _compiled is None:
        _compiled = torch.compile(flex_attention, dynamic=True)
    return _compiled


def _forward(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    """What transformers calls as this model's attention: (rows, heads, width, d) -> (rows, width, heads, d)."""
    refuse_unknown(_blocks is not None, dropout, more)
    out = _kernel(query.device)(
        query.contiguous(),
        key.contiguous(),
        value.contiguous(),
        block_mask=_blocks,
        scale=scaling,
        enable_gqa=key.shape[1] != query.shape[1],
    )
    return out.transpose(1, 2).contiguous(), None


def _hidden(model: Any, body: Any, layout: Layout) -> torch.Tensor:
    # the model gets a mask of one block: it must make none of its own, and nobody reads this one
    stand_in = torch.zeros((1, 1, 1, 1), dtype=next(body.parameters()).dtype, device=layout.ids.device)
    global _blocks
    earlier, _blocks = _blocks, blocks_of(layout)
    try:
        with attending(model, NAME, _forward):
            out = body(input_ids=layout.ids, attention_mask=stand_in, position_ids=layout.positions, use_cache=False).last_hidden_state
    finally:
        _blocks = earlier
    assert isinstance(out, torch.Tensor)
    return out


def block_hidden(model: Any, body: Any, layout: Layout, mask_of: Callable[[], Mask]) -> torch.Tensor | None:
    """Last hidden states of a layout (rows, width, d), what stands in padding is no one's; None where a mask (`mask_of`) is to be used."""
    config, dtype = model.config.get_text_config(), next(body.parameters()).dtype
    if layout.ids.device.type != "cuda" or dtype not in _HALVES or layout.ids.shape[1] < SHORT:
        return None
    if any(getattr(config, name, None) for name in WINDOWS) or processes() > 1:
        return None  # of several processes each has other rows: one that tries alone would wait for the others
    return _hidden(model, body, layout) if _chosen(model, body, layout, mask_of) else None


def keep_choices(model: Any, folder: Path, key: str) -> None:
    """From now on what is chosen for `model` is written to the run's folder; what an earlier start of the run `key` chose is chosen again, whatever
    the clock says. Raises `TrainingError` where the file cannot be read."""
    body, known = body_of(model), recalled(folder / FILE, key, "choices") or {"choices": []}
    try:
        _tried[body] = {int(size): (bool(blocks), str(why)) for size, blocks, why in known["choices"]}
    except (TypeError, ValueError, OverflowError) as e:
        what = f"these choices of attention cannot be read ({type(e).__name__})"
        raise TrainingError(what, remedy="remove the file to choose again", file=folder / FILE) from None
    _kept[body] = (folder, key)


def _chosen(model: Any, body: Any, layout: Layout, mask_of: Callable[[], Mask]) -> bool:
    found, size = _tried.setdefault(body, {}), layout.ids.shape[1].bit_length()
    if size not in found:
        found[size] = _worth(model, body, layout, mask_of)
        if body in _kept:
            folder, key = _kept[body]
            write_json(folder / FILE, {"key": key, "choices": [[size, *choice] for size, choice in sorted(found.items())]})
    return found[size][0]


def attention_of(model: Any) -> str:
    """How a model's attention was computed and why, in words; empty where there was nothing to choose (a processor, short rows, windows)."""
    return "; ".join(f"rows below {2**size} tokens: {why}" for size, (_, why) in sorted(_tried.get(body_of(model), {}).items()))


Gradient = list[torch.Tensor]


def _timed(way: Callable[[], torch.Tensor], real: torch.Tensor, weights: Gradient) -> tuple[float, torch.Tensor, Gradient]:
    """(seconds of a forward and backward pass: the better of three after a warm-up; hidden states (tokens, d); gradient)."""
    best = float("inf")
    for i in range(4):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        with torch.inference_mode(False), torch.enable_grad():
            out = way()[real]
            # against a fixed direction: the square of a normed state is the same whatever attention says
            slant = torch.linspace(-1.0, 1.0, out.numel(), device=out.device).view_as(out)
            gradient = torch.autograd.grad((out.float() * slant).mean(), weights)
        torch.cuda.synchronize()
        best = min(best, time.perf_counter() - begin) if i else best
    return best, out.detach().float(), list(gradient)


def _worth(model: Any, body: Any, layout: Layout, mask_of: Callable[[], Mask]) -> tuple[bool, str]:
    """Whether blocks give what a mask gives, in value and gradient, and faster; and the reason in words."""
    real = layout.pair >= 0
    # the gradient of the first weights comes through every layer's attention
    weights = [p for p in body.parameters() if p.requires_grad][:8]

    def masked() -> torch.Tensor:
        out: torch.Tensor = body(
            input_ids=layout.ids, attention_mask=mask_of(), position_ids=layout.positions, use_cache=False
        ).last_hidden_state
        return out

    try:
        plain, theirs, slope = _timed(masked, real, weights)
        blocks, mine, own = _timed(lambda: _hidden(model, body, layout), real, weights)
    except ERRORS as e:
        return False, f"attention with a mask: FlexAttention cannot be used on this model here ({type(e).__name__})"
    apart = float((mine - theirs).abs().max() / theirs.abs().max().clamp(min=1e-6))
    off = max(float((a - b).float().norm() / b.float().norm().clamp(min=1e-12)) for a, b in zip(own, slope, strict=True))
    if not (apart <= CLOSE and off <= SLACK):
        return False, f"attention with a mask: FlexAttention differs by {100 * apart:.1f} %, its gradient by {100 * off:.1f} %"
    faster = blocks < (1 - TIE) * plain
    times = f"a pass takes {1000 * blocks:.1f} ms by FlexAttention and {1000 * plain:.1f} ms with a mask (apart {100 * apart:.1g} %)"
    return faster, f"attention {'by FlexAttention' if faster else 'with a mask'}: {times}"
