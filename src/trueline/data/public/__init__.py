"""Readers of public suites from local files: one file a format, each a pure function from rows to `PublicRow`. Nothing is downloaded.

Left out on purpose: result files of scanners, which are findings and no suites (`data/scanner_results.py`)."""

from trueline.data.public.formats import FORMATS, PublicFormat, read_public
from trueline.data.public.rows import PublicRow

__all__ = ["FORMATS", "PublicFormat", "PublicRow", "read_public"]
