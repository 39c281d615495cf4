"""Make an environment small and quick to start: run by image/Dockerfile, with the environment's own Python.

Takes out what only building and debugging need; what kgen imports stays, which tests/image shows. Compiles the rest,
since in a container with a read-only root Python could never keep what it compiles at each start.
"""

from __future__ import annotations

import compileall
import os
import py_compile
import shutil
import struct
import sys
import sysconfig
from pathlib import Path

SITE = Path(sysconfig.get_path("purelib"))
FOLDERS = (
    "tensorflow/include",  # 287 MB of headers
    "kubernetes/aio",  # 68 MB, a second client: kgen makes its own requests over the first one's connections
    "pyarrow/include",
    "*/**/tests",
)
HAS_SYMBOLS = "tensorflow/libtensorflow_cc.so.2"
"""Carries 205 MB of a symbol table that only debuggers read."""


def remove_symbols(library: Path) -> None:
    """Cut an ELF file off behind what the loader maps, as `strip` does, which base images don't have."""
    with library.open("r+b") as file:
        header = bytearray(file.read(64))
        if header[:6] != b"\x7fELF\x02\x01":
            sys.exit(f"{library}: not a 64-bit little-endian ELF file")
        (table,) = struct.unpack_from("<Q", header, 32)
        size, count = struct.unpack_from("<HH", header, 54)
        file.seek(table)
        segments = [struct.unpack("<IIQQQQQQ", file.read(size)) for _ in range(count)]
        end = max(offset + length for _, _, offset, _, _, length, _, _ in segments)
        struct.pack_into("<Q", header, 40, 0)  # no section headers: they describe what is cut off
        struct.pack_into("<HHH", header, 58, 0, 0, 0)
        file.seek(0)
        file.write(header)
        file.truncate(end)


def main() -> None:
    """Do it."""
    for pattern in FOLDERS:
        for folder in list(SITE.glob(pattern)):
            if folder.is_dir():  # not so where it was inside another that is gone
                shutil.rmtree(folder)
    library = SITE / HAS_SYMBOLS
    if library.exists() and not (SITE / "nvidia").exists():  # with CUDA code in it nobody has tried it
        remove_symbols(library)
    compileall.compile_dir(
        SITE, quiet=2, workers=os.cpu_count() or 1, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )


if __name__ == "__main__":
    main()
