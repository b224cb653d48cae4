"""Compiles the relay's kernel program when the package is built, so that installing it takes no compiler; and with
VF_COMPILED=1 the transceiver's packet path (dataplane/packet_path).

`python dataplane/bpf/hatch_build.py` does it in place, for a checkout; an editable install has done so already. Where
clang or its headers are missing, the package is built without the program, and relays forward in userspace.
"""

import os
import runpy
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).resolve().parent
SOURCE: Final = HERE / "relay.c"
PACKAGED: Final = "voicefleet/net/bpf/relay.o"
IN_PLACE: Final = HERE.parent / PACKAGED
PACKET_PATH: Final = HERE.parent / "packet_path" / "compile.py"
CACHE: Final = HERE.parents[1] / ".cache" / "packet-path"
"""In a checkout; what is built of an sdist is thrown away with it."""
# For no processor and no kernel in particular: the program uses only what is stable, so one object serves all
# little-endian machines. -g brings the types of the maps.
FLAGS: Final = ("-O2", "-g", "-Wall", "-Wextra", "-Werror", "-target", "bpfel", "-mcpu=v2")


class NotBuilt(Exception):
    """Why there is no program."""


def compile_to(target: Path) -> None:
    """Compile the program; raises `NotBuilt`."""
    clang = shutil.which("clang")
    if clang is None:
        raise NotBuilt("no clang")
    target.parent.mkdir(parents=True, exist_ok=True)
    made = target.with_suffix(f".{os.getpid()}.o")  # nobody sees half of it
    # Headers of the kernel's interface are in a folder of the machine's own architecture on Debian.
    system = sysconfig.get_config_var("MULTIARCH")
    include = (f"-I/usr/include/{system}",) if system else ()
    # The object is the same wherever it is made.
    places = (f"-ffile-prefix-map={HERE}=.", "-fdebug-compilation-dir=.")
    command = (clang, *FLAGS, *include, *places, "-c", SOURCE.name, "-o", str(made.absolute()))
    ran = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        made.unlink(missing_ok=True)
        raise NotBuilt(ran.stderr.strip() or f"clang ended with {ran.returncode}")
    made.replace(target)


def up_to_date(target: Path = IN_PLACE) -> bool:
    """Whether there is something newer than what it is made from."""
    return target.exists() and target.stat().st_mtime >= SOURCE.stat().st_mtime


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by hand, without the build backend
    pass
else:

    class MachineCodeHook(BuildHookInterface):  # type: ignore[type-arg]
        """Puts the program, and the packet path if asked to, into a wheel; for an editable install, the program alone
        into the source tree."""

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:
            """Called by hatchling before it collects the files of a wheel."""
            if self.target_name != "wheel":
                return
            if os.environ.get("VF_COMPILED") == "1" and version != "editable":
                self._add_packet_path(build_data)
            target = IN_PLACE if version == "editable" else Path(self.directory) / "relay.o"
            try:
                compile_to(target)
            except NotBuilt as reason:
                self.app.display_warning(f"built without the relay's kernel program: {reason}")
                return
            if version != "editable":
                build_data["force_include"][str(target)] = PACKAGED

        def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
            """Called when the wheel is there."""
            if self.target_name == "wheel" and version != "editable":
                (Path(self.directory) / "relay.o").unlink(missing_ok=True)

        def dependencies(self) -> list[str]:
            """What building takes beside hatchling."""
            return ["mypy>=2.0", "setuptools"] if os.environ.get("VF_COMPILED") == "1" else []

        def _add_packet_path(self, build_data: dict[str, Any]) -> None:
            """What was asked for and can't be had is an error here."""
            made = runpy.run_path(str(PACKET_PATH))["machine_code"](CACHE)
            for path in made.rglob("*.so"):
                build_data["force_include"][str(path)] = str(path.relative_to(made))
            build_data["pure_python"] = False
            build_data["infer_tag"] = True


if __name__ == "__main__":
    try:
        if not up_to_date():
            compile_to(IN_PLACE)
    except NotBuilt as reason:
        sys.exit(f"not built: {reason}")
