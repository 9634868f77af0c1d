"""Compiles the engine's kernels when the package is built or installed.

Without a C++ compiler, or with PONANT_BUILD_KERNELS=0, the package still builds, as one for every
platform: the engine then runs on torch operators, or llama.cpp serves.
"""

import os
import runpy
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_BUILD = "src/ponant/engine/kernels/build.py"


class KernelBuildHook(BuildHookInterface):
    """Puts the compiled kernels into the wheel and names the platform they are for."""

    PLUGIN_NAME = "custom"

    def initialize(self, _version: str, build_data: dict[str, Any]) -> None:
        """Compile, for a wheel and for an editable install alike."""
        if self.target_name != "wheel" or os.environ.get("PONANT_BUILD_KERNELS") == "0":
            return
        root = Path(self.root)
        kernels = runpy.run_path(str(root / _BUILD))
        try:
            library: Path = kernels["build"]()
        except kernels["NoCompilerError"] as e:
            sys.stderr.write(f"{e} The package is built without kernels of its own.\n")
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{_platform()}"
        build_data["artifacts"].append(library.relative_to(root).as_posix())


def _platform() -> str:
    """The platform's name in a wheel's; the library needs no particular Python (PEP 425)."""
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")
