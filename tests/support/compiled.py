"""The package with its packet path compiled, made once for each state of it."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def compiled_package() -> Path:
    """A folder for PYTHONPATH."""
    spec = spec_from_file_location("packet_path_compile", PROJECT / "dataplane/packet_path/compile.py")
    assert spec is not None and spec.loader is not None
    compiling = module_from_spec(spec)
    spec.loader.exec_module(compiling)
    made: Path = compiling.compiled(PROJECT / ".cache/compiled")
    return made
