"""`python -m recipes.harbor --out DIR --steps N`: makes the rehearsal model from nothing; the same command resumes."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from recipes.harbor.corpus import Corpus, load_sources
from recipes.harbor.pretrain import Plan, train
from recipes.harbor.tokens import make_tokenizer


def main() -> None:
    """Tokenizer, pretraining, folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and the model, outside the work tree")
    parser.add_argument("--steps", type=int, default=11000, help="optimiser steps of 2,048 tokens")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    corpus = Corpus(load_sources())
    folder = given.out / "tokenizer"
    if folder.exists():
        from transformers import PreTrainedTokenizerFast

        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    else:
        tokenizer = make_tokenizer(corpus, given.seed)
        tokenizer.save_pretrained(folder)
    train(Plan(steps=given.steps, seed=given.seed), corpus, tokenizer, given.out, given.device)


if __name__ == "__main__":
    main()
