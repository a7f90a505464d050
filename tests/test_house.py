"""The house itself: sizes, lightness, public names. A change that makes the house worse fails here."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src" / "trueline"
FILES = sorted(SRC.rglob("*.py"))
NAMES_THAT_NAME_NOTHING = {"utils", "util", "common", "helpers", "misc"}


BASE = "import asyncio, json, ssl, http.client, email.message, logging, dataclasses"


def cpu_seconds(code: str) -> float:
    meter = f"import resource; {code}; u = resource.getrusage(resource.RUSAGE_SELF); print(u.ru_utime + u.ru_stime)"
    done = subprocess.run([sys.executable, "-c", meter], capture_output=True, text=True, check=True)
    return float(done.stdout.strip().splitlines()[-1])


def light(code: str, times: float) -> None:
    """A fresh interpreter runs `code` in less than `times` the CPU of importing the standard library's network modules (0.06 s where it was
    written, 0.11 s on a slower host: seconds alone failed there with one and the same code). Of eight tries the first that does counts."""
    took: list[float] = []
    while len(took) < 8 and (not took or min(took) >= times):
        took.append(cpu_seconds(code) / cpu_seconds(BASE))
    assert min(took) < times, took


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_sizes_and_names(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 400, f"{path} has {text.count(chr(10))} lines, at most 400: split it by subject"
    assert path.stem not in NAMES_THAT_NAME_NOTHING, f"{path}: name the file for its subject"
    tree = ast.parse(text)
    assert ast.get_docstring(tree), f"{path} does not say what it is for"
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    nested = {inner for outer in functions for inner in ast.walk(outer) if inner is not outer}
    for node in functions:
        size = (node.end_lineno or node.lineno) - node.lineno + 1
        assert size <= 80, f"{path}:{node.lineno} {node.name} has {size} lines, at most 80"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_") and node not in nested:
            private = any(isinstance(c, ast.ClassDef) and c.name.startswith("_") and node in c.body for c in ast.walk(tree))
            assert private or ast.get_docstring(node), f"{path}:{node.lineno} {node.name} has no docstring"


def test_import_and_help_are_light() -> None:
    light("import trueline", 1)
    light("from trueline.cli.main import run; run(['--help'])", 3)


def test_gateway_is_light_and_free_of_torch() -> None:
    code = "import trueline.gateway.app, sys; assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    light(code, 7)


def test_every_verb_loads_and_explains_itself() -> None:
    import click

    from trueline.cli.main import VERBS, root

    for verb in VERBS:
        with click.Context(root) as ctx:
            found = root.get_command(ctx, verb)
        assert found is not None
        assert found.help, f"trueline {verb} has no help"
        for parameter in found.params:
            assert not isinstance(parameter, click.Option) or parameter.help, f"{verb} {parameter.name} has no help"
