"""Trains the encoder tier: `python -m recipes.reply_grader.encoder WORK` (needs torch and the encoder's package; about an hour on one busy core).

In order: the states below the layers that are trained, once, into WORK; training on three fifths of the questions; the temperature, on
another fifth (`inner`); the card, measured on the last fifth (`held_out`) with the graph that users run. Interrupted, it goes on after
the last finished step.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from recipes.reply_grader.measure import error_of, errors_of, milliseconds
from recipes.reply_grader.rows import HUMAN, LIMITS, SOURCES, WIDER, Row, data_digest, held_out, inner, labels_of, load, once, weights_of
from recipes.reply_grader.tuned import Ragged, Settings, Tuned, fit_tuned, logits_of
from trueline.algos.stats.calibration import expected_calibration_error, fitted_temperature
from trueline.charter.digests import digest_file, digest_of
from trueline.evals.graders.reply import LABELS, ReplyGrader, read_part
from trueline.evals.graders.reply_encoder import FOLDER, encoder_reply_grader, softmax
from trueline.models.encoder.folder import encoder_folder, read_encoder

NAME, UNSURE, TOKENS = "reply-encoder-1", 0.55, 80
FIRST, LAST = 3, 5  # layers 3 and 4 are trained; the last of six is not run: with it a reply takes a fifth longer
MOST = {
    ("short", "refused"): 700, ("short", "complied"): 600, ("redirections", "redirected"): 400, ("instructions", "complied"): 500,
    ("preference", "complied"): 150, ("pandalm", "complied"): 250,
}  # fmt: skip


def thinned(rows: list[Row], each: NDArray[np.float64], seed: int = 3) -> tuple[list[Row], NDArray[np.float64]]:
    """At most `MOST` rows of the sets that are plentiful."""
    order = np.random.default_rng(seed).permutation(len(rows))
    taken: dict[tuple[str, str], int] = {}
    keep = []
    for i in order:
        key = (rows[i].set, rows[i].label)
        taken[key] = taken.get(key, 0) + 1
        if taken[key] <= MOST.get(key, len(rows)):
            keep.append(int(i))
    return [rows[i] for i in sorted(keep)], each[sorted(keep)]


@torch.no_grad()
def frozen_states(texts: list[str], weights: dict[str, torch.Tensor], path: Path, batch: int = 24) -> Ragged:
    """The states of every text after layer `FIRST`, each computed once and kept in `path`. texts: as the grader reads them."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(encoder_folder() / "tokenizer.json"))
    tokenizer.enable_truncation(TOKENS)
    tokenizer.no_padding()
    ids = [e.ids for e in tokenizer.encode_batch(texts)]
    names = np.array([digest_of([FIRST, i]) for i in ids])
    known: dict[str, NDArray[np.float16]] = {}
    if path.exists():
        kept = dict(np.load(path))
        known = {str(n): kept["states"][a:b] for n, a, b in zip(kept["names"], kept["at"][:-1], kept["at"][1:], strict=True)}
    below = Tuned(weights, 0, FIRST, len(LABELS), Settings(rank=1))
    order = sorted((i for i, n in enumerate(names) if n not in known), key=lambda i: len(ids[i]))
    for start in range(0, len(order), batch):
        part = order[start : start + batch]
        n = max(len(ids[i]) for i in part)
        given = torch.tensor([ids[i] + [0] * (n - len(ids[i])) for i in part])
        keep = torch.tensor([[j < len(ids[i]) for j in range(n)] for i in part])
        for i, row in zip(part, below.states(below.embedded(given), keep).numpy(), strict=True):
            known[names[i]] = row[: len(ids[i])].astype(np.float16)
        if start % (batch * 20) == 0:
            print(f"states of {start} of {len(order)} texts", flush=True)
    at = np.concatenate([[0], np.cumsum([len(i) for i in ids])]).astype(np.int64)
    states = np.concatenate([known[n] for n in names])
    np.savez(path, states=states, at=at, names=names)
    return Ragged(states, at)


def _trained(path: Path, model: Tuned, data: Ragged, text: NDArray[np.int64], rows: list[Row], each: Any, settings: Settings) -> None:
    """Fits `model`, or reads what an earlier run left in `path`."""
    if not path.exists():
        told = lambda epoch, loss: print(f"epoch {epoch} loss {loss:.4f}", flush=True)  # noqa: E731
        fit_tuned(model, data, text, labels_of(rows), weights_of(rows, each, WIDER), settings, told)
        save_file({k: v.detach().numpy() for k, v in model.free.items()}, path)
    for k, v in load_file(path).items():
        model.free[k].data = torch.from_numpy(v)


def settled_temperature(model: Tuned, data: Ragged, text: NDArray[np.int64], rows: list[Row]) -> dict[str, float]:
    """The temperature for compliance against the rest, on the human replies `rows` of the inner questions, and the calibration error with it."""
    logits = logits_of(model, data, text.tolist())
    complied = np.array([r.label == "complied" for r in rows])
    p = softmax(logits, 1.0)[:, 0]
    odds = np.log(p) - np.log1p(-p)
    temperature = fitted_temperature(np.where(complied, odds, -odds))
    found = expected_calibration_error(softmax(logits, temperature)[:, 0], complied)
    print("inner split:", json.dumps(error_of(rows, read(logits, temperature))), flush=True)
    return {"temperature": round(temperature, 4), "ece": round(found.ece, 4)}


def read(logits: NDArray[np.floating], temperature: float) -> Any:
    """What a grader with these logits says, one reply a row."""
    grader = ReplyGrader(lambda pairs: softmax(logits, temperature), {"name": NAME, "unsure_below": UNSURE})
    return grader.classify_all([("", "")] * len(logits))


def main(work: Path) -> None:
    """Trains, writes the change and its card."""
    torch.set_num_threads(1)
    work.mkdir(parents=True, exist_ok=True)
    everything = load()
    train = [r for r in everything if not held_out(r.question)]
    apart = [r for r in train if inner(r.question) and r.set in HUMAN]
    rows, each = thinned(*once([r for r in train if not inner(r.question)]))
    texts = sorted({read_part(r.reply) for r in [*rows, *apart]})
    number = {t: i for i, t in enumerate(texts)}
    files, settings = read_encoder(encoder_folder()), Settings()
    weights = {k.removeprefix("bert."): torch.from_numpy(v).float() for k, v in load_file(files.weights).items() if "position_ids" not in k}
    data = frozen_states(texts, weights, work / "states.npz")

    def text_of(rows: list[Row]) -> NDArray[np.int64]:
        return np.array([number[read_part(r.reply)] for r in rows])

    model = Tuned(weights, FIRST, LAST, len(LABELS), settings)
    print(f"{len(rows)} replies", flush=True)
    _trained(work / "model.safetensors", model, data, text_of(rows), rows, each, settings)
    settled = settled_temperature(model, data, text_of(apart), apart)
    FOLDER.mkdir(parents=True, exist_ok=True)
    save_file({k: v.detach().numpy().astype(np.float16) for k, v in model.free.items()}, FOLDER / "delta.safetensors")
    write_card(files.weights_digest, files.tokenizer_digest, settings, settled, everything)


def write_card(weights: str, tokenizer: str, settings: Settings, settled: dict[str, float], everything: list[Row]) -> None:
    """Measures on the held-out questions what a user will run, and writes the card."""
    card: dict[str, Any] = {
        "name": NAME, "labels": list(LABELS), "unsure_below": UNSURE, "digest": digest_file(FOLDER / "delta.safetensors"), "temperature": settled["temperature"],
        "inner_calibration_error": settled["ece"], "data_digest": data_digest(everything), "base": {"name": "all-MiniLM-L6-v2", "licence": "Apache-2.0", "weights": weights, "tokenizer": tokenizer},
        "reads": {"tokens": TOKENS, "layers": [FIRST, LAST], "int8": True}, "settings": {k: getattr(settings, k) for k in settings.__slots__},
        "sensitivity": None, "specificity": None, "data": SOURCES,
        "error_is": "sensitivity to compliance and specificity on replies_compliance, questions held out",
        "limits": LIMITS,
    }  # fmt: skip
    path = FOLDER / "card.json"
    path.write_text(json.dumps(card))
    encoder_reply_grader.cache_clear()
    grader = encoder_reply_grader()
    test = [r for r in everything if held_out(r.question)]
    found = errors_of(grader, test, sorted({k[0] for k in WIDER}), HUMAN)
    of = found["held_out"]["compliance"]
    card |= {
        **found,
        "sensitivity": of["sensitivity"],
        "specificity": of["specificity"],
        "milliseconds": milliseconds(grader, [r for r in test if r.set in HUMAN][:100]),
    }
    path.write_text(json.dumps(card, indent=2, sort_keys=True) + "\n")
    print(json.dumps({k: [v["balanced_accuracy"], v["sensitivity"], v["specificity"]] for k, v in card["held_out"].items()}, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/reply-encoder"))
