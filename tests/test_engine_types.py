"""Every name, argument and enum that our TensorRT code takes is in both bindings: mypy, against stubs.

The GPU tests are among it: they run on no machine of ours, but what they call exists.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [
    ROOT / "helpers" / name for name in ("engine.py", "engine_build.py", "engine_run.py", "engine_session.py")
]
FILES += [*sorted((ROOT / "tests" / "gpu").glob("*.py")), ROOT / "tests" / "gpu_support.py"]


def check(version, files, cache):
    path = os.pathsep.join(map(str, (ROOT / "stubs" / f"tensorrt-{version}", ROOT / "tests")))
    environment = {**os.environ, "MYPYPATH": path}
    command = [sys.executable, "-m", "mypy", "--strict", "--no-pretty", "--follow-imports=silent"]
    command += ["--cache-dir", str(cache), "--config-file", str(ROOT / "pyproject.toml"), *map(str, files)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


# What is planted, and the versions that must refuse it.
PLANTED = {
    "trt.BuilderFlag.FP16": ["11.4"],
    "trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH": ["11.4"],
    "trt.IInt8MinMaxCalibrator": ["11.4"],
    "config.build_route": ["10.16"],
    "config.set_flag(trt.MemoryPoolType.WORKSPACE)": ["10.16", "11.4"],
    "config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE)": ["10.16", "11.4"],
    "trt.BuilderFlag.TF32": [],
}


@pytest.mark.slow
@pytest.mark.parametrize("version", ["10.16", "11.4"])
def test_our_calls_are_in_the_bindings_and_planted_ones_fail(version, tmp_path):
    planted = []
    for number, expression in enumerate(PLANTED):
        path = tmp_path / f"planted_{number}.py"
        path.write_text(
            "import tensorrt as trt\n\n\ndef planted(config: trt.IBuilderConfig) -> object:\n"
            + (
                f"    return {expression}\n"
                if "set_" not in expression
                else f"    {expression}\n    return 0\n"
            )
        )
        planted.append(path)
    done = check(version, [*FILES, *planted], tmp_path / "cache")
    errors = [line for line in done.stdout.splitlines() if " error: " in line]
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert not [line for line in errors if "planted_" not in line], done.stdout
    refused = {e for n, e in enumerate(PLANTED) if any(f"planted_{n}.py" in line for line in errors)}
    assert refused == {expression for expression, versions in PLANTED.items() if version in versions}, (
        done.stdout
    )
