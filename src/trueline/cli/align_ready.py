"""Everything that could stop an alignment run late is looked at before anything is asked or trained."""

from __future__ import annotations

from trueline.charter.compile.prompt import compile_prompt, count_words
from trueline.cli.align_phases import Run
from trueline.cli.align_policy import reward_files
from trueline.cli.align_search import teach_probes
from trueline.cli.charter_reward import teach_probes as rewarded_probes
from trueline.cli.targets import Target, open_target
from trueline.data.evaluations import read_evaluation
from trueline.errors import RunFileError
from trueline.train.runfile import PolicyStage, SearchStage, beside


def ready(run: Run, target: Target) -> None:
    """Raises the error that the run would have ended with: a baseline, a teacher, files, reward models or teach probes that are not there, a search
    without anything to try, an output folder that cannot be written."""
    if run.file.gate.against:
        read_evaluation(beside(run.path, run.file.gate.against))
    for key in ("helpful", "preferences"):
        path = run.named(getattr(run.file.data, key))
        if path is not None and not path.exists():
            raise RunFileError(f"data.{key} names {path}, which is not there", remedy="mend the path", file=run.path)
    searches = [s for s in run.file.stages if isinstance(s, SearchStage)]
    if run.file.teacher:
        if searches:
            raise RunFileError("teacher has no effect on a search", remedy="remove it", file=run.path)
        open_target(run.file.teacher)
    if len(searches) > 1:
        raise RunFileError(f"got {len(searches)} searches, expected one", remedy="put all budgets and few_shots into one", file=run.path)
    for stage in searches:
        _searchable(run, stage, target)
    for policy in (s for s in run.file.stages if isinstance(s, PolicyStage)):
        reward_files(run, policy)
        if not rewarded_probes(run.project):
            what = f"{policy.method} draws replies to probes that may teach, and the charter has none"
            raise RunFileError(what, remedy="grow some: `trueline probes grow`, then `trueline probes accept`", file=run.path)
    run.out.mkdir(parents=True, exist_ok=True)


def _searchable(run: Run, stage: SearchStage, target: Target) -> None:
    for name, tried in (("budgets", stage.budgets), ("few_shots", stage.few_shots)):
        if not tried:
            raise RunFileError(f"{name} is empty, so that there is nothing to try", remedy=f"give at least one in {name}", file=run.path)
    teach_probes(run.project, stage.probes)
    for budget in stage.budgets:
        compile_prompt(run.project.loaded.charter, budget=budget, count=target.count or count_words)
