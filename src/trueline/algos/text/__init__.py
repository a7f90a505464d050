"""Text as features and canonical views."""
