"""The package with its packet path compiled, as a wheel holds it that was built with VF_COMPILED=1."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

PROJECT = Path(__file__).parents[2]


def compiling() -> ModuleType:
    """What makes the machine code; it is no part of the package."""
    spec = spec_from_file_location("packet_path_compile", PROJECT / "dataplane/packet_path/compile.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def compiled_package(optimise: int | None = None) -> Iterator[Path]:
    """A folder for PYTHONPATH; the machine code in it is kept in .cache."""
    maker = compiling()
    made = maker.machine_code(PROJECT / ".cache/packet-path", maker.SHIPPED if optimise is None else optimise)
    with TemporaryDirectory(prefix="vf-compiled-") as folder:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT / "dataplane/voicefleet", Path(folder, "voicefleet"), ignore=ignored)
        shutil.copytree(made, folder, dirs_exist_ok=True)
        yield Path(folder)
