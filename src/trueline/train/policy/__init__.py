"""Reinforcement learning from rewards: PPO, and GRPO and RLOO, which need no value model."""
