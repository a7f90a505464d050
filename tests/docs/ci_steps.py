"""The steps of the CI templates as their platforms run them: the script of each, its shell, and the environment that the file gives it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

TOP = Path(__file__).parents[2]
TEMPLATES = TOP / "src" / "trueline" / "shipped" / "templates"
ACTION, WORKFLOW, GITLAB = TOP / "action.yml", TEMPLATES / "trueline.yml", TEMPLATES / "gitlab.yml"


@dataclass(frozen=True)
class Step:
    """One script with its environment."""

    name: str
    script: str
    env: Mapping[str, str]


def read(path: Path) -> Any:
    """The file as plain data (YAML 1.2, as both platforms read it)."""
    return YAML(typ="safe").load(path.read_text())


def expanded(text: str, known: Mapping[str, str]) -> str:
    """`${{ a || b }}` by the first name that is known and not empty; an unknown one is the empty text, as on the platform."""

    def value(match: re.Match[str]) -> str:
        return next((known[n.strip()] for n in match[1].split("||") if known.get(n.strip())), "")

    return re.sub(r"\$\{\{(.*?)\}\}", value, text)


def action_steps(inputs: Mapping[str, str]) -> list[Step]:
    """Of the composite action, with these inputs and the defaults of all others."""
    file = read(ACTION)
    given = {k: inputs.get(k, v.get("default", "")) for k, v in file["inputs"].items()}
    known = {**{f"inputs.{k}": v for k, v in given.items()}, "github.action_path": str(TOP)}
    return [
        Step(s["name"], s["run"], {k: expanded(v, known) for k, v in s.get("env", {}).items()}) for s in file["runs"]["steps"] if "run" in s
    ]


def workflow_steps(variables: Mapping[str, str]) -> list[Step]:
    """Of the workflow that `init` writes, in a repository with these variables."""
    job = read(WORKFLOW)["jobs"]["gate"]
    known = {f"{kind}.{k}": v for k, v in variables.items() for kind in ("vars", "secrets")}
    shared = job["env"]
    return [
        Step(s["name"], s["run"], {k: expanded(v, known) for k, v in {**shared, **s.get("env", {})}.items()})
        for s in job["steps"]
        if "run" in s
    ]


def gitlab_steps(variables: Mapping[str, str]) -> list[Step]:
    """Of the GitLab job: variables of the project are in the environment of every line."""
    job = read(GITLAB)["trueline-gate"]
    return [Step(line, line, {**job["variables"], **variables}) for line in (*job["before_script"], *job["script"])]


def run_steps(steps: list[Step], folder: Path, path: Path, env: Mapping[str, str]) -> tuple[int, str]:
    """Runs them in bash, as the platforms do (-e, pipefail), until one fails. Returns (exit code of the last one run, all output)."""
    said = ""
    base = {"PATH": f"{path}:{os.environ['PATH']}", "HOME": str(folder), **env}
    for step in steps:
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step.script], cwd=folder, env={**base, **step.env}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        said += f"== {step.name}\n{done.stdout}{done.stderr}"
        if done.returncode:
            return done.returncode, said
    return 0, said


def tool(folder: Path, name: str, script: str) -> None:
    """A command on the PATH of a test."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/usr/bin/env bash\n{script}\n")
    (folder / name).chmod(0o755)
