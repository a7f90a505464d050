"""TRL's side, in its own environment: its trainers with their best settings, or with their defaults. Prints one JSON line."""

from __future__ import annotations

import tempfile
import time
from typing import Any

from case import GROUP, Clock, arguments, even, pairs


def main() -> None:
    """One case."""
    a = arguments()
    import torch
    import transformers
    import trl
    from datasets import Dataset, disable_progress_bars

    torch.set_num_threads(a.threads)
    disable_progress_bars()
    tokenizer = transformers.AutoTokenizer.from_pretrained(a.model)
    clock = Clock(a.device)

    class Marks(transformers.TrainerCallback):
        def on_step_end(self, *args: Any, **named: Any) -> None:
            clock.mark()

    rows = pairs(len(tokenizer), a.batch * a.steps, a.prompt, a.completion)
    rows = [{k: v + (" " if k == "prompt" else "") for k, v in r.items()} for r in rows]
    common: dict[str, Any] = {
        "per_device_train_batch_size": a.batch, "num_train_epochs": 1, "report_to": [], "save_strategy": "no", "logging_strategy": "no",
        "use_cpu": a.device == "cpu", "bf16": a.dtype == "bfloat16", "learning_rate": 1e-5, "disable_tqdm": True, "max_length": 2048,
    }  # fmt: skip
    if not a.defaults:
        common |= {"gradient_checkpointing": False}
    with tempfile.TemporaryDirectory() as folder:
        kind = transformers.AutoModelForSequenceClassification if a.method == "reward" else transformers.AutoModelForCausalLM
        more = {"num_labels": 1} if a.method == "reward" else {}
        model = kind.from_pretrained(a.model, dtype=torch.float32, **more).to(a.device)
        clock.loaded(model)
        began = time.perf_counter()
        if a.method == "dpo":
            if not a.defaults:
                common |= {"precompute_ref_log_probs": True, "precompute_ref_batch_size": a.batch}
            data = Dataset.from_list(rows)
            trainer = trl.DPOTrainer(
                model, args=trl.DPOConfig(folder, **common), train_dataset=data, processing_class=tokenizer, callbacks=[Marks()]
            )
        elif a.method == "reward":
            data = Dataset.from_list(rows)
            trainer = trl.RewardTrainer(
                model, args=trl.RewardConfig(folder, **common), train_dataset=data, processing_class=tokenizer, callbacks=[Marks()]
            )
        elif a.method == "grpo":
            common.pop("max_length")
            common |= {"num_generations": GROUP, "max_completion_length": a.completion, "beta": 0.04, "max_steps": a.steps}
            data = Dataset.from_list([{"prompt": r["prompt"]} for r in rows])
            trainer = trl.GRPOTrainer(
                model,
                reward_funcs=lambda completions, **_: [even(c) for c in completions],
                args=trl.GRPOConfig(folder, **common),
                train_dataset=data,
                processing_class=tokenizer,
                callbacks=[Marks()],
            )
        else:
            packing = {} if a.defaults else {"packing": True, "max_length": a.batch * (a.prompt + a.completion)}
            common |= packing | ({"per_device_train_batch_size": 1} if packing else {})
            data = Dataset.from_list([{"prompt": r["prompt"], "completion": r["chosen"]} for r in rows])
            trainer = trl.SFTTrainer(
                model, args=trl.SFTConfig(folder, **common), train_dataset=data, processing_class=tokenizer, callbacks=[Marks()]
            )
        trainer.train()
        whole = time.perf_counter() - began
    trained = clock.marks[-1] - clock.marks[0]
    before = whole - trained * len(clock.marks) / max(1, len(clock.marks) - 1)
    print(
        clock.told(
            a.batch, seconds_before=before, rows=len(rows), versions={"trl": trl.__version__, "transformers": transformers.__version__}
        )
    )


if __name__ == "__main__":
    main()
