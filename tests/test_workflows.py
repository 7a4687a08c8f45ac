"""Public workflows: what runs when, where and with which rights; and files that travel between systems."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".github" / "workflows"
NAMES = sorted(path.name for path in FOLDER.glob("*.yml"))
MAJORS = {"actions/checkout": 6, "actions/setup-python": 6, "actions/upload-artifact": 7}


def workflow(name):
    content = yaml.safe_load((FOLDER / name).read_text("utf-8"))
    content["on"] = content.pop(True)  # YAML 1.1 reads `on` as a truth value
    return content


def steps(name):
    return [step for job in workflow(name)["jobs"].values() for step in job["steps"]]


def commands(name):
    return [step["run"] for step in steps(name) if "run" in step]


KEPT = {"browser.yml": "build/browser/", "newest.yml": "build/check/", "test.yml": "build/check/"}


def test_these_are_all():
    assert list(KEPT) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_workflow_may_only_read_ends_and_shows_every_failure(name):
    content = workflow(name)
    assert content["permissions"] == {"contents": "read"}
    for job in content["jobs"].values():
        assert job["timeout-minutes"] <= 90
        assert job["strategy"]["fail-fast"] is False
        assert "continue-on-error" not in job
    assert not any("continue-on-error" in step for step in steps(name))


@pytest.mark.parametrize("name", NAMES)
def test_every_action_is_an_official_one_in_its_current_major_version(name):
    for step in steps(name):
        if "uses" in step:
            action, version = step["uses"].split("@")
            assert version == f"v{MAJORS[action]}"


@pytest.mark.parametrize("name", NAMES)
def test_what_broke_is_kept_one_name_a_lane(name):
    (step,) = [step for step in steps(name) if "upload-artifact" in step.get("uses", "")]
    assert step["if"] == "failure()"
    assert step["with"]["path"] == KEPT[name]
    (job,) = workflow(name)["jobs"].values()
    (axis,) = job["strategy"]["matrix"]
    assert step["with"]["name"] == f"broken-${{{{ matrix.{axis} }}}}"


def test_the_lock_is_checked_at_every_push_by_the_script_that_ci_calls():
    assert set(workflow("test.yml")["on"]) == {"push", "pull_request", "workflow_dispatch"}
    assert "bash .ci/run" in commands("test.yml")


def test_the_newest_packages_are_checked_every_week_on_three_systems():
    content = workflow("newest.yml")
    assert set(content["on"]) == {"schedule", "workflow_dispatch"}
    (entry,) = content["on"]["schedule"]
    assert re.fullmatch(r"\d+ \d+ \* \* \d", entry["cron"]), "once a week"
    (job,) = content["jobs"].values()
    assert job["strategy"]["matrix"] == {"os": ["ubuntu-latest", "macos-latest", "windows-latest"]}
    assert job["runs-on"] == "${{ matrix.os }}"


def test_a_browser_reads_every_week_the_lessons_that_the_suite_knows():
    content = workflow("browser.yml")
    assert set(content["on"]) == {"schedule", "workflow_dispatch"}
    lessons = content["jobs"]["browser"]["strategy"]["matrix"]["lesson"]
    assert [f"test_browser_{lesson}.py" for lesson in lessons] == sorted(
        path.name for path in (ROOT / "tests" / "browser").glob("test_browser_[0-9]*.py")
    )
    (extra,) = [command for command in commands("browser.yml") if "pip install" in command]
    assert extra.split('"')[1] in (ROOT / "pyproject.toml").read_text("utf-8")


def test_no_step_of_that_lane_uses_the_lock_or_a_shell_of_one_system():
    assert commands("newest.yml") == [
        "python bootstrap.py setup --no-lock",
        "python bootstrap.py versions --no-lock",
        "python bootstrap.py test --no-lock",
    ]


# --- files that travel ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def listed():
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode:
        pytest.skip("no git repository here")
    return [name for name in done.stdout.split("\0") if name]


def test_names_that_every_system_can_hold(listed):
    reserved = re.compile(r"(?i)^(con|prn|aux|nul|com\d|lpt\d)(\.|$)")
    parts = {part for name in listed for part in name.split("/")}
    assert [part for part in parts if reserved.match(part) or re.search(r'[<>:"|?*\\]|[. ]$', part)] == []
    assert len({name.lower() for name in listed}) == len(listed), "two names that differ in their case alone"
    assert max(map(len, listed)) <= 120, "Windows counts the whole path, and stops at 260"


def test_lines_end_alike_on_every_system(listed):
    asked = ["git", "check-attr", "--stdin", "-z", "eol", "text"]
    names = "\0".join(listed)
    done = subprocess.run(asked, cwd=ROOT, input=names, capture_output=True, encoding="utf-8", check=True)
    fields = done.stdout.split("\0")
    known = {}
    for name, attribute, value in zip(fields[0::3], fields[1::3], fields[2::3], strict=False):
        known.setdefault(name, {})[attribute] = value
    texts = (".py", ".ipynb", ".md", ".toml", ".yml", ".txt", ".cfg", ".csv", ".svg", ".sh")
    assert [name for name in listed if name.endswith(texts) and known[name]["eol"] != "lf"] == []
    binaries = (".safetensors", ".jpg", ".png", ".otf", ".pdf", ".npz", ".onnx")
    assert [name for name in listed if name.endswith(binaries) and known[name]["text"] != "unset"] == []


def test_no_committed_text_has_the_ends_of_lines_of_windows(listed):
    texts = [
        ROOT / name for name in listed if name.endswith((".py", ".ipynb", ".md", ".toml", ".yml", ".cfg"))
    ]
    assert [path.name for path in texts if path.is_file() and b"\r\n" in path.read_bytes()] == []


def test_what_nbval_replaces_is_read_in_any_code_page():
    """nbval opens this file without naming an encoding."""
    assert (ROOT / "notebooks" / "nbval.cfg").read_bytes().isascii()
