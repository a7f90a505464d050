"""The engine at the rehearsal model's size: real probes in one batch, each against itself alone and transformers' own search."""

from pathlib import Path

import pytest
import torch

from trueline.charter.probes import Probe
from trueline.charter.shipped import charter_path
from trueline.charter.turns import Message
from trueline.core.chat import Sampling
from trueline.engine.bundled import MODELS
from trueline.engine.loading import load_local
from trueline.engine.parity import parity
from trueline.engine.sampling import generate
from trueline.engine.templates import encode_prompt

pytestmark = pytest.mark.slow
SYSTEM = Message("system", "You are the assistant of Harbor Bank. You answer briefly and warmly.")


def probes() -> tuple[Probe, ...]:
    from trueline.charter.probe_files import probes_beside, read_probes

    return tuple(p for p in read_probes(probes_beside(charter_path("bundled:harbor_bank"))) if p.side == "test")[::25]


@pytest.mark.skipif(not (MODELS / "harbor" / "config.json").exists(), reason="the rehearsal model is not in this checkout")
def test_real_probes_batched_alone_and_by_transformers(tmp_path: Path) -> None:
    local = load_local("bundled:harbor", device="cpu")
    talks = [(SYSTEM, *p.messages) for p in probes()]
    rows = [encode_prompt(local.tokenizer, talk) for talk in talks]
    together = generate(local, rows, Sampling(max_tokens=48))
    assert len({made.text for made in together}) > len(rows) // 3
    alone = [generate(local, [row], Sampling(max_tokens=48))[0] for row in rows]
    theirs = [
        local.model.generate(torch.tensor([row]), max_new_tokens=48, do_sample=False, eos_token_id=sorted(local.stops), pad_token_id=0)[
            0, len(row) :
        ].tolist()
        for row in rows
    ]
    # float32 sums of other shapes may turn a tie of two tokens: one reply in a hundred is allowed to differ
    allowed = len(rows) // 100
    assert sum(a != b for a, b in zip(together, alone, strict=True)) <= allowed
    assert sum([t for t in b if t not in local.stops] != list(a.ids) for a, b in zip(together, theirs, strict=True)) <= allowed
    found = parity(local.tokenizer, [(talk, made.text) for talk, made in zip(talks, together, strict=True) if made.text])
    assert found.holds, found.problems[:3]
