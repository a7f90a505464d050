"""The known hazard taxonomies: what `hazards:` of a principle may name."""

from __future__ import annotations

# MLCommons AILuminate 1.0 hazard categories; OWASP Top 10 for LLM applications; prohibited practices and high-risk areas of the EU AI Act.
HAZARDS: frozenset[str] = frozenset(
    [
        *(f"mlcommons:{h}" for h in (
            "violent-crimes", "sex-related-crimes", "child-sexual-exploitation", "suicide-and-self-harm", "indiscriminate-weapons",
            "intellectual-property", "defamation", "non-violent-crimes", "hate", "privacy", "specialized-advice", "sexual-content",
        )),
        *(f"owasp:LLM{i:02d}" for i in range(1, 11)),
        *(f"eu-ai-act:{h}" for h in (
            "manipulation", "exploitation-of-vulnerability", "social-scoring", "employment", "credit-scoring", "insurance", "essential-services",
            "education", "law-enforcement", "biometrics", "transparency",
        )),
    ]
)  # fmt: skip
