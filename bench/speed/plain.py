"""PPO as a plain loop writes it: Hugging Face's `generate`, two rows of logits a reply, a value model, GAE, the clipped losses. One JSON line.

The same work as ours (a rollout, the reference, two passes of two minibatches), nothing shared and nothing kept: what a team would write itself.
"""

from __future__ import annotations

import copy
import time

import torch
from case import EPOCHS, MINIBATCHES, Clock, arguments, even, pairs


def logps_of(model: torch.nn.Module, ids: torch.Tensor, prompt: int) -> torch.Tensor:
    """(replies, tokens) log-probabilities of the reply."""
    logits = model(input_ids=ids).logits[:, prompt - 1 : -1].float()
    return torch.log_softmax(logits, dim=-1).gather(2, ids[:, prompt:, None])[..., 0]


class Valued(torch.nn.Module):
    """The model's body with a number a token."""

    def __init__(self, body: torch.nn.Module, width: int) -> None:
        super().__init__()
        self.body, self.head = body, torch.nn.Linear(width, 1)

    def forward(self, ids: torch.Tensor, prompt: int) -> torch.Tensor:
        """(replies, tokens)."""
        out: torch.Tensor = self.head(self.body(input_ids=ids).last_hidden_state[:, prompt - 1 : -1])[..., 0]
        return out


def advantages(rewards: torch.Tensor, values: torch.Tensor, lam: float = 0.95) -> torch.Tensor:
    """GAE with gamma 1, (replies, tokens)."""
    out, later = torch.zeros_like(rewards), torch.zeros(len(rewards))
    for t in range(rewards.shape[1] - 1, -1, -1):
        following = values[:, t + 1] if t + 1 < rewards.shape[1] else 0.0
        later = rewards[:, t] + following - values[:, t] + lam * later
        out[:, t] = later
    return out


def main() -> None:
    """One case."""
    a = arguments()
    import transformers

    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    tokenizer = transformers.AutoTokenizer.from_pretrained(a.model)
    model = transformers.AutoModelForCausalLM.from_pretrained(a.model, dtype=torch.float32).to(a.device)
    clock = Clock(a.device)
    clock.loaded(model)
    began = time.perf_counter()
    reference = copy.deepcopy(model).eval()
    critic = Valued(copy.deepcopy(model.model), model.config.hidden_size)
    moves = [torch.optim.AdamW(m.parameters(), lr=1e-5, fused=True) for m in (model, critic)]
    rows = pairs(len(tokenizer), a.batch * a.steps, a.prompt, a.completion)
    n = a.batch // MINIBATCHES
    for step in range(a.steps):
        asked = torch.tensor([tokenizer.encode(r["prompt"]) for r in rows[step * a.batch : (step + 1) * a.batch]])
        with torch.no_grad():
            ids = model.generate(
                asked,
                attention_mask=torch.ones_like(asked),
                do_sample=True,
                top_k=0,
                min_new_tokens=a.completion,
                max_new_tokens=a.completion,
            )
            old, ref, values = logps_of(model, ids, a.prompt), logps_of(reference, ids, a.prompt), critic(ids, a.prompt)
            rewards = -0.05 * (old - ref)
            rewards[:, -1] += torch.tensor([even(tokenizer.decode(r)) for r in ids[:, a.prompt :]])
            gain = advantages(rewards, values)
            returns, gain = gain + values, (gain - gain.mean()) / (gain.std() + 1e-8)
        for _ in range(EPOCHS):
            for part in torch.randperm(a.batch).split(n):
                ratio = torch.exp(logps_of(model, ids[part], a.prompt) - old[part])
                clipped = torch.minimum(ratio * gain[part], ratio.clamp(0.8, 1.2) * gain[part])
                now = critic(ids[part], a.prompt)
                near = values[part] + (now - values[part]).clamp(-0.2, 0.2)
                worse = torch.maximum((now - returns[part]).square(), (near - returns[part]).square())
                for loss, m, move in ((-clipped.mean(), model, moves[0]), (worse.mean() / 2, critic, moves[1])):
                    loss.backward()
                    torch.nn.utils.clip_grad_norm_(m.parameters(), 1.0)
                    move.step()
                    move.zero_grad(set_to_none=True)
        clock.mark()
    trained = clock.marks[-1] - clock.marks[0]
    before = time.perf_counter() - began - trained * len(clock.marks) / max(1, len(clock.marks) - 1)
    print(
        clock.told(
            a.batch, seconds_before=before, rows=len(rows), versions={"torch": torch.__version__, "transformers": transformers.__version__}
        )
    )


if __name__ == "__main__":
    main()
