"""The CI templates run step by step in bash, with a `trueline` that only says what it was asked: order, options, exit codes, summary.

The same steps with the real one and a real server: tests/slow/test_ci_gate.py.
"""

import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from tests.docs.ci_steps import (
    ACTION,
    GITLAB,
    TEMPLATES,
    WORKFLOW,
    action_steps,
    expanded,
    gitlab_steps,
    read,
    run_steps,
    tool,
    workflow_steps,
)
from trueline.cli.init import FILES
from trueline.cli.main import root

# writes down its words, and leaves what the real verbs leave; the gate's exit code is $GATE_CODE, that of the plan $PLAN_CODE
FAKE = """
printf '%q ' "$@" >> "$ASKED"; echo >> "$ASKED"
verb="$1"
while [ $# -gt 0 ]; do
  case "$1" in
    --out) if [ "$verb" = gate ]; then echo '{}' > "$2"; else mkdir -p "$2"; echo '{}' > "$2/evaluation.json"; fi ;;
    --markdown) echo '## the decision' > "$2" ;;
    --json) echo "{\\"require\\": [$REQUIRE]}" ;;
  esac
  shift
done
if [ "$verb" = gate ]; then exit "$GATE_CODE"; fi
if [ "$verb" = plan ]; then exit "$PLAN_CODE"; fi
"""
TARGET = "openai:m@http://127.0.0.1:9/v1"


class Place:
    """A repository in which `init` was called, and the tools of its machine."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bin = folder / "repo", folder / "bin"
        self.folder.mkdir()
        (self.folder / "ci").mkdir()
        shutil.copyfile(TEMPLATES / "trueline.sh", self.folder / FILES["trueline.sh"])
        tool(self.bin, "trueline", FAKE)
        tool(self.bin, "pip", 'echo "$@" > "$PIPPED"')
        tool(self.bin, "python", f'exec {sys.executable} "$@"')

    def env(self, **more: str) -> dict[str, str]:
        own = {
            "ASKED": str(self.folder / "asked"),
            "PIPPED": str(self.folder / "pipped"),
            "GATE_CODE": "0",
            "PLAN_CODE": "0",
            "REQUIRE": '"suite"',
        }
        github = {"GITHUB_STEP_SUMMARY": str(self.folder / "summary"), "GITHUB_OUTPUT": str(self.folder / "output"), "CI": "true"}
        return {**own, **github, **more}

    def asked(self) -> list[list[str]]:
        """Every call of trueline."""
        return [shlex.split(line) for line in (self.folder / "asked").read_text().splitlines()]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def steps(kind: str, **more: str) -> Any:
    if kind == "action":
        return action_steps({"charter": "charter.yaml", "candidate": TARGET, **more})
    variables = {"TRUELINE_TARGET": TARGET, **{f"TRUELINE_{k.upper().replace('-', '_')}": v for k, v in more.items()}}
    return workflow_steps(variables) if kind == "workflow" else gitlab_steps(variables)


@pytest.mark.parametrize("kind", ["action", "workflow", "gitlab"])
@pytest.mark.parametrize(("code", "outcome"), [(0, "PASS"), (1, "FAIL"), (2, "INCONCLUSIVE"), (3, "INVALID"), (64, "ERROR")])
def test_the_job_ends_as_the_gate_does_and_leaves_a_summary(kind: str, code: int, outcome: str, place: Place) -> None:
    found, said = run_steps(steps(kind), place.folder, place.bin, place.env(GATE_CODE=str(code)))
    assert found == code, said
    assert (place.folder / "summary").read_text() == "## the decision\n"
    assert (place.folder / "output").read_text() == f"outcome={outcome}\nexit-code={code}\n"
    assert [w[0] for w in place.asked()] == ["check", "plan", "plan", "eval", "gate"]
    assert (place.folder / "pipped").read_text().startswith("install ")


@pytest.mark.parametrize("kind", ["action", "workflow", "gitlab"])
def test_a_baseline_and_a_required_red_team_run_are_measured_and_handed_over(kind: str, place: Place) -> None:
    found, said = run_steps(steps(kind, baseline="openai:old@http://127.0.0.1:9/v1"), place.folder, place.bin, place.env(REQUIRE='"suite", "redteam"'))  # fmt: skip
    assert found == 0, said
    verbs = place.asked()
    assert [w[0] for w in verbs] == ["check", "plan", "plan", "eval", "eval", "redteam", "gate"]
    assert [w[1] for w in verbs[3:6]] == [TARGET, "openai:old@http://127.0.0.1:9/v1", TARGET]
    gate = verbs[-1]
    for option, value in (("--against", "runs/ci/baseline"), ("--redteam", "runs/ci/redteam"), ("--junit", "runs/ci/gate.xml")):
        assert gate[gate.index(option) + 1] == value


def test_a_finished_baseline_is_not_measured_again_and_options_reach_their_verbs(place: Place) -> None:
    (place.folder / "released").mkdir()
    (place.folder / "released" / "evaluation.json").write_text("{}")
    more = {"baseline": "released", "eval-options": "--samples 3 --temperature 1", "gate-options": "--redteam-max-age 7", "plan-options": "--samples 3",
            "redteam": "true", "redteam-options": "--limit 25", "probes": "my probes.jsonl"}  # fmt: skip
    found, said = run_steps(steps("action", **more), place.folder, place.bin, place.env())
    assert found == 0, said
    by = {w[0]: w for w in place.asked()}
    assert sum(w[0] == "eval" for w in place.asked()) == 1
    assert by["eval"][-6:-2] == ["--samples", "3", "--temperature", "1"]
    assert by["gate"][by["gate"].index("--against") + 1] == "released"
    assert "--redteam-max-age" in by["gate"]
    assert by["redteam"][by["redteam"].index("--limit") + 1] == "25"
    assert all("my probes.jsonl" in by[v] for v in ("plan", "eval", "redteam", "gate"))


def test_a_plan_that_cannot_resolve_is_said_and_stops_only_where_it_is_asked_to(place: Place) -> None:
    found, said = run_steps(steps("action"), place.folder, place.bin, place.env(PLAN_CODE="2"))
    assert found == 0
    assert "cannot be resolved with these probes" in said
    found, _ = run_steps(steps("action", **{"strict-plan": "true"}), place.folder, place.bin, place.env(PLAN_CODE="2"))
    assert found == 2
    assert place.asked()[-1][0] == "plan", "nothing was spent after it"


@pytest.mark.parametrize("kind", ["workflow", "gitlab"])
def test_without_a_target_the_step_says_what_is_missing(kind: str, place: Place) -> None:
    some = workflow_steps({}) if kind == "workflow" else gitlab_steps({})
    found, said = run_steps(some, place.folder, place.bin, place.env())
    assert found == 64
    assert "TRUELINE_TARGET is not set" in said


def test_inputs_are_words_and_no_commands(place: Place) -> None:
    evil = "$(touch pwned); `touch pwned` \"; touch pwned; '"
    run_steps(steps("action", charter=evil, candidate=evil, baseline=evil), place.folder, place.bin, place.env())
    assert not (place.folder / "pwned").exists()
    assert place.asked()[0] == ["check", evil]
    for step in read(ACTION)["runs"]["steps"]:
        assert "${{" not in step.get("run", ""), "an expression inside a script is code that an input can write"


def test_foreign_actions_and_images_are_pinned() -> None:
    used = [s["uses"] for s in (*read(ACTION)["runs"]["steps"], *read(WORKFLOW)["jobs"]["gate"]["steps"]) if "uses" in s]
    assert len(used) >= 5
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@(v\d+\.\d+\.\d+|[0-9a-f]{40})", u) for u in used)
    assert re.search(r":\d+\.\d+\.\d+", read(GITLAB)["trueline-gate"]["image"])


def test_platforms_find_what_the_gate_leaves() -> None:
    job = read(GITLAB)["trueline-gate"]
    assert job["artifacts"]["when"] == "always"
    assert job["artifacts"]["reports"]["junit"] == f"{job['variables']['TRUELINE_OUT']}/gate.xml"
    uploads = [s for s in read(WORKFLOW)["jobs"]["gate"]["steps"] if "upload-artifact" in s.get("uses", "")]
    assert uploads[0]["if"] == "always()"
    assert uploads[0]["with"]["path"] == read(WORKFLOW)["jobs"]["gate"]["env"]["TRUELINE_OUT"]
    assert read(WORKFLOW)["permissions"] == {"contents": "read"}
    file = read(ACTION)
    assert file["runs"]["using"] == "composite"
    assert all(s.get("shell") == "bash" for s in file["runs"]["steps"] if "run" in s), "a composite action must name its shell"
    named = {name for s in file["runs"]["steps"] for name in re.findall(r"inputs\.([\w-]+)", str(s))}
    assert named == set(file["inputs"]), "an input without effect is an error"


def test_the_script_asks_for_options_that_exist() -> None:
    script = re.sub(r"\\\n", " ", (TEMPLATES / "trueline.sh").read_text())
    calls = re.findall(r"^\s*trueline (\w+) (.*)$", script, flags=re.MULTILINE)
    assert {verb for verb, _ in calls} == {"check", "plan", "eval", "redteam", "gate"}
    for verb, rest in calls:
        command = root.get_command(click.Context(root), verb)
        assert command is not None
        known = {flag for p in command.params for flag in p.opts}
        assert set(re.findall(r"(?<=\s)--[a-z-]+", f" {rest}")) <= known


def test_expressions_by_hand() -> None:
    assert expanded("${{ inputs.a || github.b }}/x", {"inputs.a": "", "github.b": "B"}) == "B/x"
    assert expanded("${{ vars.unknown }}", {}) == ""


def test_what_the_charter_does_not_require_is_said_and_left_out(place: Place) -> None:
    out = place.folder / "runs" / "ci"
    for name in ("redteam", "inherited"):  # of an earlier commit, which required them
        (out / name).mkdir(parents=True)
        (out / name / "evaluation.json").write_text("{}")
    code, said = run_steps(steps("action"), place.folder, place.bin, place.env())
    assert code == 0, said
    assert "no red-team run: the charter does not require one" in said
    assert not any("--redteam" in words or "--inherited" in words for words in place.asked())
    assert sum("eval" in words for words in place.asked()) == 1


def test_what_it_requires_is_asked_and_handed_to_the_gate(place: Place) -> None:
    env = place.env(REQUIRE='"suite", "inherited", "redteam"')
    code, said = run_steps(steps("action", **{"eval-options": "--samples 2"}), place.folder, place.bin, env)
    assert code == 0, said
    (inherited,) = [words for words in place.asked() if "--suite" in words]
    assert inherited[inherited.index("--suite") + 1] == "inherited"
    assert "--samples" in inherited
    assert any(words[0] == "redteam" for words in place.asked())


@pytest.mark.parametrize(
    ("more", "word"), [({"inherited": "yes"}, "got 'yes' for inherited"), ({"redteam": "True"}, "got 'True' for redteam")]
)
def test_a_word_that_is_neither_is_an_error(more: dict[str, str], word: str, place: Place) -> None:
    code, said = run_steps(steps("action", **more), place.folder, place.bin, place.env())
    assert code == 64
    assert word in said
