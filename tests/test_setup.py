"""Set-up: the script, the lock, conda's file, the CI script, the Colab cell; nothing is installed here."""

from __future__ import annotations

import importlib.util
import io
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from helpers.course import environment
from helpers.course.colab import badge, colab_cell, repository_address, restamp


@pytest.fixture(scope="module")
def bootstrap(repository):
    spec = importlib.util.spec_from_file_location("bootstrap", repository / "bootstrap.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def project(repository):
    return tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))["project"]


def script(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
    path.chmod(0o755)


def lock_lines(repository: Path, name: str) -> dict[str, str]:
    text = (repository / "requirements" / name).read_text("utf-8")
    return dict(re.findall(r"(?m)^([\w.-]+)==([\w.+]+)", text))


# --- bootstrap.py -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 10, 14)])
def test_an_old_python_is_refused_by_name_and_with_a_fix(bootstrap, version):
    with pytest.raises(bootstrap.SetupError, match=r"expected 3\.11 or newer, got .*PYTHON="):
        bootstrap.check_version(version)


def test_newer_pythons_are_accepted(bootstrap):
    for version in ((3, 11, 0), (3, 14, 1), (4, 0, 0)):
        bootstrap.check_version(version)


@pytest.mark.skipif(os.name == "nt", reason="needs executable scripts")
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("echo 'GPU 0: NVIDIA H200'", "gpu"),
        ("echo 'NVIDIA-SMI has failed'; exit 9", "cpu"),
        ("echo 'No devices were found'", "cpu"),
    ],
)
def test_the_gpu_set_only_where_a_driver_answers(bootstrap, tmp_path, monkeypatch, answer, expected):
    script(tmp_path / "nvidia-smi", f"#!/bin/sh\n{answer}\n")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("COURSE_SET", raising=False)
    assert bootstrap.which_set() == expected
    monkeypatch.setenv("COURSE_SET", "cpu")
    assert bootstrap.which_set() == "cpu"


def test_no_driver_and_a_wrong_setting(bootstrap, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("COURSE_SET", raising=False)
    assert bootstrap.which_set() == "cpu"
    monkeypatch.setenv("COURSE_SET", "tpu")
    with pytest.raises(bootstrap.SetupError, match="expected cpu or gpu, got tpu"):
        bootstrap.which_set()


def test_a_current_environment_is_not_installed_again(bootstrap, tmp_path, monkeypatch):
    installed = []
    monkeypatch.setenv("COURSE_VENV", str(tmp_path / "env"))
    monkeypatch.setenv("COURSE_SET", "cpu")
    monkeypatch.setattr(bootstrap, "install", lambda python, kind, locked: installed.append((kind, locked)))
    create = venv.create
    monkeypatch.setattr(bootstrap.venv, "create", lambda folder, with_pip: create(folder))
    first = bootstrap.ensure_environment()
    assert first == bootstrap.ensure_environment()
    assert installed == [("cpu", True)]
    monkeypatch.setenv("TORCH_INDEX", "elsewhere")
    bootstrap.ensure_environment()
    assert len(installed) == 2


@pytest.mark.parametrize(("kind", "locked"), [("cpu", True), ("gpu", True), ("cpu", False)])
def test_what_is_installed(bootstrap, monkeypatch, kind, locked):
    steps = []
    monkeypatch.setattr(bootstrap, "call", lambda command: steps.append(" ".join(map(str, command))) or 0)
    monkeypatch.setenv("TORCH_INDEX", "file:///wheels")
    bootstrap.install("python", kind, locked=locked)
    assert "--extra-index-url file:///wheels" in steps[0]
    assert not any("extra-index-url" in step for step in steps[1:])
    if locked:
        assert "torch==2.13.0" in steps[0]
        assert "--no-deps" in steps[1]
        assert f"lock-{kind}.txt" in steps[2]
    else:
        assert f".[{kind},course,ultralytics,scale,dev]" in steps[0]
        assert "uninstall" in steps[1]


def test_a_failing_step_is_an_error(bootstrap, monkeypatch):
    monkeypatch.setattr(bootstrap, "call", lambda command: 3)
    with pytest.raises(bootstrap.SetupError, match="pip ended with 3"):
        bootstrap.install("python", "cpu", locked=True)


@pytest.mark.parametrize(
    ("requirement", "met"), [("numpy>=2.1", True), ("numpy>=99", False), ("no-such-package-here>=1", False)]
)
def test_what_is_met(bootstrap, requirement, met):
    assert bootstrap.is_met(requirement) is met


def test_unknown_commands_show_the_help(bootstrap, capsys):
    assert bootstrap.main(["frobnicate"]) == 2
    assert bootstrap.main(["help"]) == 0
    assert "python bootstrap.py lab" in capsys.readouterr().out


@pytest.mark.parametrize("locked", [True, False])
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["test"], "course test"),
        (["versions"], "course versions"),
        (["refresh", "03", "--no-run"], "course refresh 03 --no-run"),
        (["run", "--model", "x"], "course run --model x"),
        (["benchmark", "--list"], "benchmark --list"),
    ],
)
def test_every_command_runs_in_the_environment_it_asked_for(bootstrap, monkeypatch, words, expected, locked):
    asked, called = [], []
    monkeypatch.setattr(bootstrap, "ensure_environment", lambda locked: asked.append(locked) or Path("py"))
    monkeypatch.setattr(bootstrap, "call", lambda command: called.append(command) or 7)
    assert bootstrap.main([*words, *([] if locked else ["--no-lock"])]) == 7
    assert asked == [locked]
    assert " ".join(called[0]) == f"py -m helpers {expected}"


def test_setup_without_the_lock(bootstrap, monkeypatch, capsys):
    monkeypatch.setattr(bootstrap, "ensure_environment", lambda locked: Path("py", str(locked)))
    assert bootstrap.main(["setup", "--no-lock"]) == 0
    assert bootstrap.main(["setup"]) == 0
    assert [Path(line.split()[1]).name for line in capsys.readouterr().out.splitlines()] == ["False", "True"]


@pytest.mark.parametrize(("system", "expected"), [("nt", "Scripts/python.exe"), ("posix", "bin/python")])
def test_the_interpreter_of_each_system(bootstrap, monkeypatch, system, expected):
    folder = Path("some")
    monkeypatch.setattr(bootstrap, "os", SimpleNamespace(name=system))
    assert bootstrap.environment_python(folder) == folder / expected


def test_processes_speak_utf_8_and_their_code_comes_back(bootstrap, capfd):
    program = "import sys; print(sys.flags.utf8_mode, '→'); sys.exit(3)"
    assert bootstrap.call([sys.executable, "-c", program]) == 3
    assert "1 → ".strip() in capfd.readouterr().out


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_console_without_the_letter_shows_an_escape(bootstrap, monkeypatch, stream):
    written = io.BytesIO()
    monkeypatch.setattr(sys, stream, io.TextIOWrapper(written, encoding="cp1252"))
    bootstrap.show_every_letter()
    print("中", file=getattr(sys, stream), flush=True)
    assert written.getvalue().strip() == b"\\u4e2d"
    monkeypatch.setattr(sys, stream, io.StringIO())
    bootstrap.show_every_letter()  # one that cannot be set is left alone


def test_a_message_on_a_code_page(repository, tmp_path):
    """An error that holds a letter of no Western code page is still one line and exit code 1."""
    code_page = {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    wrong = {"COURSE_SET": "中", "COURSE_VENV": str(tmp_path / "none")}
    done = subprocess.run(
        [sys.executable, "bootstrap.py", "setup"],
        cwd=repository, env={**os.environ, **code_page, **wrong}, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.decode("ascii").strip().endswith("got \\u4e2d")


@pytest.mark.skipif(os.name == "nt" or shutil.which("make") is None, reason="needs make and a POSIX shell")
def test_every_make_target_reaches_the_script(repository):
    for target, expected in {
        "run": "run --model x",
        "test": "test",
        "test-gpu": "test-gpu",
        "test-browser": "test-browser",
        "lab": "lab",
        "refresh": "refresh 02 03",
        "versions": "versions",
        "benchmark": "benchmark --list",
        "mutants": "mutants --list",
    }.items():
        dry = subprocess.run(
            ["make", "-n", target, "MODEL=x", "OPTIONS=--list", "LESSONS=02 03"],
            cwd=repository, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert f"bootstrap.py {expected}" in dry.stdout


# --- packages ---------------------------------------------------------------------------------------------


def test_the_lock_has_every_package_at_or_above_its_floor(repository, project, bootstrap):
    extras = project["optional-dependencies"]
    locked = {name.lower(): v for name, v in lock_lines(repository, "lock.txt").items()}
    for wanted in [*project["dependencies"], *extras["course"], *extras["ultralytics"], *extras["dev"]]:
        name, floor = wanted.split(">=")
        assert bootstrap.numbers(locked[name]) >= bootstrap.numbers(floor), wanted


def test_the_lock_is_one_torch_one_opencv_and_no_cuda(repository):
    locked = lock_lines(repository, "lock.txt")
    assert locked["torch"] == "2.13.0"
    assert [name for name in locked if name.startswith("opencv")] == ["opencv-python-headless"]
    assert [name for name in locked if name.startswith(("nvidia-", "cuda-", "triton"))] == ["nvidia-ml-py"]
    assert not any(name.startswith("onnxruntime") for name in locked)
    assert "onnxruntime" in lock_lines(repository, "lock-cpu.txt")
    assert {"onnxruntime-gpu", "tensorrt"} <= set(lock_lines(repository, "lock-gpu.txt"))


def test_the_environment_check_has_the_floors_of_the_package(project):
    extras = project["optional-dependencies"]
    floors = dict(line.split(">=") for line in [*project["dependencies"], *extras["course"]])
    for name, floor in environment.FLOORS.items():
        assert floors[name] == floor


def test_the_conda_file_names_the_packages_of_the_course(repository):
    content = yaml.safe_load((repository / "environment.yml").read_text("utf-8"))
    conda = [entry for entry in content["dependencies"] if isinstance(entry, str)]
    pip = next(entry["pip"] for entry in content["dependencies"] if isinstance(entry, dict))
    names = {re.split(r"[>=;\[ ]", entry)[0] for entry in [*conda, *pip]}
    wanted = {
        "jupyterlab",
        "onnx",
        "netron",
        "onnxruntime-gpu",
        "tensorrt",
        "matplotlib",
        "nbval",
        "ipywidgets",
    }
    assert wanted <= names
    for entry in pip:
        if entry.startswith(("onnxruntime", "tensorrt")):
            assert "sys_platform" in entry


# --- .ci/run ----------------------------------------------------------------------------------------------

SKIP = "SKIPPED [1] tests/conftest.py:31: needs ../shared"


@pytest.mark.skipif(os.name == "nt" or shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("shared_there", "lines", "code", "expected"),
    [
        (True, "3 passed in 1.00s", 0, 0),
        (True, f"{SKIP}\n3 passed, 1 skipped in 1.00s", 0, 1),
        (False, f"{SKIP}\n3 passed, 1 skipped in 1.00s", 0, 0),
        (True, "1 failed, 3 passed in 1.00s", 2, 2),
        (True, "", 0, 1),
    ],
)
def test_ci_fails_when_something_shared_should_feed_is_skipped(
    repository, tmp_path, shared_there, lines, code, expected
):
    work = tmp_path / "main"
    (work / ".ci").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    shutil.copy(repository / ".ci" / "run", work / ".ci" / "run")
    if shared_there:
        (tmp_path / "shared" / "fixtures").mkdir(parents=True)
    script(tmp_path / "bin" / "make", f"#!/bin/sh\ncat <<'END'\n{lines}\nEND\nexit {code}\n")
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", ".ci/run"],
        cwd=work,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == expected, done.stdout
    if lines:
        assert done.stdout.rstrip().endswith(lines.splitlines()[-1])


# --- the repository's address and Colab -------------------------------------------------------------------


def test_restamping_follows_the_one_setting(repository, tmp_path):
    for name in ("pyproject.toml", "README.md", "CONTRIBUTING.md"):
        text = (
            (repository / name)
            .read_text("utf-8")
            .replace(repository_address(), "https://github.com/OWNER/yolov7-graph-surgery")
        )
        (tmp_path / name).write_text(text, "utf-8")
    old = repository_address(tmp_path)
    twin = tmp_path / "notebooks" / "text" / "00_start.py"
    twin.parent.mkdir(parents=True)
    twin.write_text(f"# {badge('notebooks/00_start.ipynb', old)}\n\n{colab_cell(old)}\n", "utf-8")
    settings = tmp_path / "pyproject.toml"
    settings.write_text(settings.read_text("utf-8").replace(old, "https://github.com/ada/cells.git"), "utf-8")

    changed = restamp(tmp_path)

    new = "https://github.com/ada/cells"
    assert {path.name for path in changed} == {"README.md", "CONTRIBUTING.md", "00_start.py"}
    assert twin.read_text("utf-8") == f"# {badge('notebooks/00_start.ipynb', new)}\n\n{colab_cell(new)}\n"
    readme = (tmp_path / "README.md").read_text("utf-8")
    assert "git clone https://github.com/ada/cells\ncd cells\n" in readme
    assert "OWNER" not in readme
    assert restamp(tmp_path) == []


def test_restamping_leaves_other_addresses_alone(tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        '[project.urls]\nRepository = "https://github.com/ada/cells"\n', "utf-8"
    )
    other = "see https://github.com/onnx/onnx and https://github.com/WongKinYiu/yolov7/releases\n"
    (tmp_path / "README.md").write_text(other, "utf-8")
    assert restamp(tmp_path) == []


def test_the_committed_files_carry_the_address_of_the_setting(repository):
    address = repository_address()
    assert f"git clone {address}" in (repository / "README.md").read_text("utf-8")


FAKE_PIP = "import os, sys\nopen(os.environ['PIP_LOG'], 'a').write(' '.join(sys.argv[1:]) + '\\n')\n"


@pytest.fixture
def bare(tmp_path):
    """A Python with nothing in it but a stand-in for Colab and a pip that writes down what it is asked."""
    venv.create(tmp_path / "bare", with_pip=False)
    python = tmp_path / "bare" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    asked = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())
    (site / "google").mkdir()
    (site / "google" / "colab.py").write_text("", "utf-8")
    (site / "pip").mkdir()
    (site / "pip" / "__main__.py").write_text(FAKE_PIP, "utf-8")
    return python, site


def remote(repository: Path, folder: Path) -> Path:
    """A git repository with the files that the Colab cell needs, as they are in the working tree."""
    for name in ("bootstrap.py", "pyproject.toml"):
        folder.mkdir(exist_ok=True)
        shutil.copy(repository / name, folder / name)
    shutil.copytree(repository / "helpers", folder / "helpers", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "notebooks").mkdir()
    (folder / "notebooks" / "keep.txt").write_text("", "utf-8")
    author = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "."], [*author, "commit", "-q", "-m", "x"]):
        subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True)
    return folder


def run_cell(python: Path, folder: Path, source: Path, before: str = "import google.colab") -> str:
    environment = {
        **os.environ, "COURSE_SOURCE": source.as_uri(), "COURSE_FOLDER": str(folder / "course"),
        "PIP_LOG": str(folder / "pip.log"), "PYTHONPATH": "",
    }  # fmt: skip
    after = "import os, helpers; print('helpers', helpers.__version__, os.path.basename(os.getcwd()))"
    program = f"{before}\n{colab_cell(repository_address())}\n{after}"
    done = subprocess.run(
        [str(python), "-c", program], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def test_the_colab_cell_clones_installs_what_is_missing_and_imports(repository, tmp_path, bare):
    python, site = bare
    for name in ("numpy-2.4.0", "opencv_python-5.0.0", "matplotlib-3.1.0"):
        (site / f"{name}.dist-info").mkdir()
        package, version = name.split("-")
        (site / f"{name}.dist-info" / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
        )
    source = remote(repository, tmp_path / "remote")

    said = run_cell(python, tmp_path, source)

    assert "helpers 0.1.0 notebooks" in said
    asked = (tmp_path / "pip.log").read_text("utf-8").splitlines()
    assert len(asked) == 1
    assert "onnxruntime>=" in asked[0]
    assert "matplotlib>=" in asked[0], "one that is too old is brought up to the floor"
    assert "numpy" not in asked[0]
    assert "opencv" not in asked[0]
    again = run_cell(python, tmp_path, tmp_path / "gone")
    assert "helpers 0.1.0 notebooks" in again, "a second run needs no clone"


def test_the_colab_cell_does_nothing_elsewhere(repository, tmp_path, bare):
    python, _ = bare
    said = run_cell(python, tmp_path, tmp_path / "none", before="")
    assert "ModuleNotFoundError: No module named 'helpers'" in said
    assert not (tmp_path / "course").exists()
    assert not (tmp_path / "pip.log").exists()


def test_this_python_can_run_the_course():
    assert sys.version_info >= (3, 11)
