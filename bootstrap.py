"""Set the course up and start it with nothing but a Python, on every system: python bootstrap.py run.

The Makefile only calls this file. It makes `.venv` beside it, installs the tested lock (the GPU set where an
NVIDIA driver answers, else the CPU set), and hands over to `python -m helpers course ...` there.

    python bootstrap.py run [--model yolov7-tiny]   execute the lessons in order
    python bootstrap.py test                        unit tests, doctests, notebooks under nbval
    python bootstrap.py test-gpu                    engines, on an NVIDIA GPU; report in build/gpu
    python bootstrap.py test-browser [NN]           a reader's path in Chromium; pictures in build/browser
    python bootstrap.py lab                         JupyterLab at lesson 00
    python bootstrap.py refresh                     execute the lessons again and show what changed
    python bootstrap.py benchmark [--list]          time our path and its peers side by side
    python bootstrap.py mutants [MODULE ...]        change patches and checkers, and see what no test notices
    python bootstrap.py versions                    what is installed, and what moved since the lock
    python bootstrap.py setup                       only make .venv
    python bootstrap.py lock                        write requirements/lock*.txt anew
    python bootstrap.py colab                       install what this Python lacks (the lessons' first cell)

With --no-lock, a command installs the newest packages that the floors allow, instead of the lock.

Settings (environment): TORCH_INDEX, another package index that has torch builds (for example CPU builds on
Linux); COURSE_SET=cpu or gpu, instead of asking the driver; COURSE_VENV, another folder than .venv.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
LOCK = ROOT / "requirements"
OLDEST = (3, 11)
# What uv is told when the lock is made: torch as tested, and no second package that brings the folder cv2.
CONSTRAINTS = "torch==2.13.0\ntorchvision==0.28.0\n"
OVERRIDES = "opencv-python; python_version < '3'\n"
# torch brings these itself, and which ones depends on its build; so they are not in the lock.
FROM_TORCH = re.compile(r"(cuda-|nvidia-(?!ml-py)|triton)")
EXTRAS = ("course", "ultralytics", "scale", "dev")
COURSE_COMMANDS = (
    "run", "test", "test-gpu", "test-browser", "lab", "execute", "refresh", "sync", "check", "restamp",
    "versions",
)  # fmt: skip


class SetupError(RuntimeError):
    """Set-up cannot go on; the message says what to do."""


def main(arguments: list[str]) -> int:
    """Carry out one command; returns the exit code."""
    command, rest = (arguments or ["help"])[0], [word for word in arguments[1:] if word != "--no-lock"]
    locked = "--no-lock" not in arguments
    show_every_letter()
    try:
        if command in COURSE_COMMANDS:
            return call([str(ensure_environment(locked=locked)), "-m", "helpers", "course", command, *rest])
        if command == "benchmark":
            return call([str(ensure_environment(locked=locked)), "-m", "helpers", command, *rest])
        if command == "mutants":
            return call([str(ensure_environment(locked=locked)), "-m", "tests.mutation", *rest])
        if command == "setup":
            print(f"python: {ensure_environment(locked=locked)}")
            return 0
        if command == "lock":
            return write_lock()
        if command == "colab":
            return install_missing()
    except (SetupError, OSError, subprocess.CalledProcessError) as error:
        print(f"bootstrap: {error}", file=sys.stderr)
        return 1
    print(__doc__)
    return 0 if command in ("help", "-h", "--help") else 2


def show_every_letter() -> None:
    """Print what a Windows code page lacks as escapes, instead of ending with an error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def call(command: list[str]) -> int:
    """Run a command from the repository's root, in UTF-8 on every system; returns its exit code."""
    environment = {**os.environ, "PYTHONUTF8": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def which_set() -> str:
    """`gpu` where an NVIDIA driver answers, else `cpu`; COURSE_SET decides over it."""
    named = os.environ.get("COURSE_SET", "")
    if named not in ("", "cpu", "gpu"):
        raise SetupError(f"COURSE_SET: expected cpu or gpu, got {named}")
    program = shutil.which("nvidia-smi")
    if named or program is None:
        return named or "cpu"
    try:
        answer = subprocess.run([program, "-L"], capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "cpu"
    return "gpu" if answer.returncode == 0 and b"GPU " in answer.stdout else "cpu"


def check_version(version: tuple[int, ...] = tuple(sys.version_info[:3])) -> None:
    """Refuse a Python that is too old, before anything is installed."""
    if version[:2] < OLDEST:
        found, oldest = ".".join(map(str, version[:3])), ".".join(map(str, OLDEST))
        raise SetupError(
            f"Python: expected {oldest} or newer, got {found}. Fix: install one and call it by name, "
            f"for example: make run PYTHON=python3.12"
        )


def environment_python(folder: Path) -> Path:
    """The interpreter inside a virtual environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def ensure_environment(*, locked: bool = True) -> Path:
    """Make `.venv` and install into it what is not there yet; returns its interpreter."""
    check_version()
    kind = which_set()
    folder = ROOT / os.environ.get("COURSE_VENV", ".venv")
    python = environment_python(folder)
    if not python.is_file():
        print(f"making {folder.name} with Python {'.'.join(map(str, sys.version_info[:3]))}", flush=True)
        try:
            venv.create(folder, with_pip=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise SetupError(
                f"{folder} could not be made ({error}). Fix: on Debian, install python3-venv"
            ) from error
    stamp, wanted = folder / "course-set.txt", fingerprint(kind, locked=locked)
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
        install(str(python), kind, locked=locked)
        stamp.write_text(wanted, encoding="utf-8")
    return python


def fingerprint(kind: str, *, locked: bool) -> str:
    """What decides whether an environment is up to date."""
    files = [ROOT / "pyproject.toml", *sorted(LOCK.glob("lock*.txt"))]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    return f"{kind} {'lock' if locked else 'floors'} {os.environ.get('TORCH_INDEX', '')} {digest}\n"


def install(python: str, kind: str, *, locked: bool) -> None:
    """Install the lock, or the newest that the floors allow, and the package itself."""
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off", "--quiet"]
    index = os.environ.get("TORCH_INDEX")
    torch = [*pip, *(["--extra-index-url", index] if index else [])]
    print(f"installing the {kind.upper()} set (some minutes the first time)", flush=True)
    if not locked:
        extras = ",".join((kind, *EXTRAS))
        steps = [
            [*torch, "--upgrade", "--editable", f".[{extras}]"],
            [python, "-m", "pip", "uninstall", "-qy", "opencv-python"],
        ]
        steps.append([*pip, "--force-reinstall", "--no-deps", "opencv-python-headless"])
    else:
        # torch with what its build needs (CUDA's libraries come that way); then the lock as it was tested
        steps = [
            [*torch, "--constraint", str(LOCK / "lock.txt"), "torch==2.13.0"],
            [*pip, "--no-deps", "--requirement", str(LOCK / "lock.txt")],
            [*pip, "--constraint", str(LOCK / "lock.txt"), "--requirement", str(LOCK / f"lock-{kind}.txt")],
            [*pip, "--no-deps", "--no-build-isolation", "--editable", "."],
        ]
    for number, step in enumerate(steps, 1):
        print(f"  step {number} of {len(steps)}", flush=True)
        if (code := call(step)) != 0:
            raise SetupError(
                f"pip ended with {code}: {' '.join(step[3:])}. Fix: see its lines above; then call this again"
            )


def requirements(*tables: str) -> list[str]:
    """Requirements of pyproject.toml: `dependencies` and the named extras."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = list(project["dependencies"])
    for table in tables:
        found += project["optional-dependencies"][table]
    return found


def write_lock() -> int:
    """Resolve pyproject.toml for every system and Python at once, and write requirements/lock*.txt."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        venv.create(work / "uv", with_pip=True)
        python = environment_python(work / "uv")
        subprocess.run([python, "-m", "pip", "install", "--quiet", "uv"], check=True)
        (work / "constraints.txt").write_text(CONSTRAINTS, encoding="utf-8")
        (work / "overrides.txt").write_text(OVERRIDES, encoding="utf-8")
        base = [
            str(python),
            "-m",
            "uv",
            "pip",
            "compile",
            "--quiet",
            "--universal",
            "--python-version",
            "3.11",
        ]
        base += ["--no-header", "--no-annotate", "--constraint", str(work / "constraints.txt")]
        base += ["--override", str(work / "overrides.txt"), str(ROOT / "pyproject.toml")]
        extras = [option for extra in EXTRAS for option in ("--extra", extra)]
        lines = {}
        for kind in ("cpu", "gpu"):
            out = work / f"{kind}.txt"
            subprocess.run([*base, *extras, "--extra", kind, "--output-file", str(out)], check=True, cwd=ROOT)
            text = out.read_text(encoding="utf-8")
            lines[kind] = [line for line in text.splitlines() if line.strip() and not FROM_TORCH.match(line)]
    common = [line for line in lines["cpu"] if line in lines["gpu"]]
    head = "# Written by: python bootstrap.py lock"
    write(LOCK / "lock.txt", [f"{head} (both sets; torch brings its own CUDA libraries)", *common])
    for kind, found in lines.items():
        write(
            LOCK / f"lock-{kind}.txt",
            [f"{head} (on top of lock.txt)", *(x for x in found if x not in common)],
        )
    return 0


def write(path: Path, lines: list[str]) -> None:
    """Write lines, and say so."""
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    print(f"{path.relative_to(ROOT)}: {len(lines) - 1} packages")


def is_met(requirement: str) -> bool:
    """Whether an installed package meets a requirement of the form `name>=floor`."""
    from importlib.metadata import PackageNotFoundError, version

    name, _, floor = requirement.partition(";")[0].strip().partition(">=")
    stand_ins = {
        "opencv-python-headless": ("opencv-python", "opencv-contrib-python"),
        "onnxruntime": ("onnxruntime-gpu",),
    }
    for candidate in (name, *stand_ins.get(name, ())):
        try:
            found = version(candidate)
        except PackageNotFoundError:
            continue
        return numbers(found) >= numbers(floor)
    return False


def numbers(text: str) -> list[int]:
    """The leading numbers of a version: `2.13.0+cpu` is 2, 13, 0."""
    return [int("".join(re.findall(r"^\d+", part)) or 0) for part in text.partition("+")[0].split(".")[:3]]


def install_missing() -> int:
    """Install into this Python what it lacks, and the package itself; what is there stays as it is."""
    check_version()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    wanted = requirements("cpu", "ultralytics")
    wanted += [
        item
        for item in requirements("course")[len(requirements()) :]
        if item.startswith(("matplotlib", "netron", "ipyw"))
    ]
    absent = [requirement for requirement in wanted if not is_met(requirement)]
    print(f"missing here: {', '.join(absent) or 'nothing'}", flush=True)
    if absent and (code := call([*pip, *absent])) != 0:
        raise SetupError(f"pip ended with {code}. Fix: see its lines above; then run the cell again")
    # one line for the interpreter's site folder: no build, no network, and a running kernel can read it
    place = Path(sysconfig.get_path("purelib"), "yolov7-graph-surgery.pth")
    place.write_text(f"{ROOT}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
