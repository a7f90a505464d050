"""A PostgreSQL server of the tests' own: started as a user other than root, empty, gone afterwards.

`TRUELINE_TEST_POSTGRES=postgresql+psycopg://...` uses a server that is there (its schema `public` is dropped!). Where there is none,
tests are skipped with the reason; with `TRUELINE_REQUIRE_POSTGRES` set, as in .ci/run, they fail instead.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from sqlalchemy import create_engine, text


def _absent(why: str) -> NoReturn:
    if os.environ.get("TRUELINE_REQUIRE_POSTGRES"):
        pytest.fail(f"TRUELINE_REQUIRE_POSTGRES is set, but {why}", pytrace=False)
    pytest.skip(f"not run on PostgreSQL: {why}")


def _programs() -> Path | None:
    """The folder of `initdb` and `pg_ctl`; Debian keeps them off the path."""
    found = shutil.which("initdb") or next((str(p) for p in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)), None)
    return Path(found).resolve().parent if found else None


def server() -> Iterator[str]:
    """The URL of a server for as long as the generator lives."""
    if importlib.util.find_spec("psycopg") is None:
        _absent("psycopg is not installed; pip install 'trueline[postgres]'")
    if given := os.environ.get("TRUELINE_TEST_POSTGRES"):
        if os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1") != "1":
            pytest.fail("tests in several processes would empty TRUELINE_TEST_POSTGRES under each other; make test JOBS=1", pytrace=False)
        yield given
        return
    programs = _programs()
    if programs is None:
        _absent("there is no server; apt-get install postgresql, or give TRUELINE_TEST_POSTGRES")
    root = os.geteuid() == 0
    if root and shutil.which("runuser") is None:
        _absent("the server refuses to run as root and there is no runuser; run the tests as another user")
    run = ["runuser", "-u", "nobody", "--"] if root else []
    folder = Path(tempfile.mkdtemp(prefix="trueline-pg-"))
    if root:
        shutil.chown(folder, "nobody")
    data = str(folder / "data")

    def do(program: str, *options: str) -> None:
        done = subprocess.run([*run, str(programs / program), "-D", data, *options], capture_output=True, text=True, cwd="/")
        if done.returncode != 0:
            _absent(f"{program} failed: {(done.stderr or done.stdout).strip()[-200:]}")

    try:
        do("initdb", "-A", "trust", "-U", "trueline", "-E", "UTF8", "--locale=C", "--no-sync")
        do("pg_ctl", "-w", "-o", f"-k {folder} -c listen_addresses='' -c fsync=off", "-l", str(folder / "log"), "start")
        yield f"postgresql+psycopg://trueline@/postgres?host={folder}"
        do("pg_ctl", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def emptied(url: str) -> str:
    """The same database with nothing in it."""
    engine = create_engine(url)
    with engine.begin() as conn:
        conn.execute(text("drop schema public cascade"))
        conn.execute(text("create schema public"))
    engine.dispose()
    return url
