"""Type stubs from the real TensorRT bindings, without TensorRT's libraries and without a GPU.

The bindings' wheel is small (1.3 MB) and holds the compiled module; the libraries it links (gigabytes) are
stood in for by three shared objects that export the nine C functions it needs, each returning null. So the
module imports, and its classes, enums and pybind11 signatures are the real ones.

    python stubs/make_tensorrt_stubs.py 10.16.1.11 11.4.0.106

writes `stubs/tensorrt-10.16/tensorrt/__init__.pyi` and `stubs/tensorrt-11.4/tensorrt/__init__.pyi`. Needs
Linux, gcc, and a network (or `--wheels FOLDER`). It lives beside what it makes, outside `helpers/`: nobody
who uses the package ever runs it; a maintainer does, the day a version is added.

Two things the docstrings do not say are added here: which calls give None when they fail (`MAY_BE_NONE`), and
which class can be read as a buffer.
"""

from __future__ import annotations

import argparse
import ast
import keyword
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser")
FUNCTIONS = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry",
    "getNvOnnxParserVersion",
    "getPluginRegistry",
    "initLibNvInferPlugins",
)
MAY_BE_NONE = {
    "Builder.build_engine_with_config",
    "Builder.build_serialized_network",
    "Builder.create_network",
    "Builder.create_builder_config",
    "IBuilderConfig.create_timing_cache",
    "IBuilderConfig.get_timing_cache",
    "IBuilderConfig.progress_monitor",
    "ICudaEngine.create_engine_inspector",
    "ICudaEngine.create_execution_context",
    "Runtime.deserialize_cuda_engine",
}
BUFFERS = {"IHostMemory"}
DUNDERS = {
    "__init__", "__int__", "__index__", "__getitem__", "__setitem__", "__len__", "__enter__", "__exit__",
}  # fmt: skip
BUILTINS = {"bool", "bytes", "dict", "float", "int", "list", "object", "set", "str", "tuple"}
CPP_NAMES = {"IParserError": "ParserError"}
HEADER = '''"""{package}: made by stubs/make_tensorrt_stubs.py from the compiled bindings; do not edit."""
# mypy: disable-error-code="type-arg, override, overload-overlap, misc, assignment, overload-cannot-match"
import builtins
from collections.abc import Callable
from typing import Any, ClassVar, SupportsFloat, SupportsInt, overload

from typing_extensions import Buffer, CapsuleType

__version__: builtins.str
'''


def main() -> int:
    """Write the stubs of each version that is named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("versions", nargs="+", metavar="VERSION")
    parser.add_argument("--wheels", type=Path, help="folder with the wheels; otherwise pip downloads them")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:  # in the child, where the loader finds the three shared objects
        sys.stdout.write(stub_text(options.versions[0]))
        return 0
    for version in options.versions:
        short = ".".join(version.split(".")[:2])
        path = options.out / f"tensorrt-{short}" / "tensorrt" / "__init__.pyi"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_in_child(version, options.wheels), encoding="utf-8")
    return 0


def _in_child(version: str, wheels: Path | None) -> str:
    with tempfile.TemporaryDirectory() as temporary:
        room = Path(temporary)
        name = f"tensorrt-cu13-bindings=={version}"
        where = ["--no-index", "--find-links", str(wheels)] if wheels else []
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", *where, "-d", str(room), name]
        subprocess.run(pip, check=True)
        zipfile.ZipFile(next(room.glob("*.whl"))).extractall(room)
        source = room / "stand_ins.c"
        source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in FUNCTIONS))
        for library in LIBRARIES:
            target = room / f"lib{library}.so.{version.partition('.')[0]}"
            subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(target), str(source)], check=True)
        environment = {**os.environ, "LD_LIBRARY_PATH": str(room), "PYTHONPATH": str(room)}
        child = [sys.executable, __file__, version, "--inside"]
        return subprocess.run(child, env=environment, check=True, capture_output=True, text=True).stdout


def stub_text(version: str) -> str:
    """The stub of the bindings that Python finds."""
    import tensorrt_bindings

    lines = [HEADER.format(package=f"tensorrt-cu13-bindings {version}")]
    surface = {name: value for name, value in vars(tensorrt_bindings).items() if not name.startswith("_")}
    classes = {name for name, value in surface.items() if isinstance(value, type)}
    for name, value in sorted(surface.items()):
        if isinstance(value, type):
            lines += ["", *_class(name, value, Types(classes, {}))]
        elif isinstance(value, ModuleType):
            continue
        elif callable(value):
            lines += _function(name, name, value.__doc__ or "", Types(classes, {}), 0)
        elif type(value).__name__ in classes:
            lines.append(f"{name}: {type(value).__name__}")
    return "\n".join(lines) + "\n"


class Types:
    """Turns the types in pybind11's docstrings into those of a stub.

    Args:
        classes: Names at the top of the module.
        inner: Classes inside the one at hand, such as `Severity` in `ILogger`, to their full names.
    """

    def __init__(self, classes: set[str], inner: dict[str, str]) -> None:
        self.classes, self.inner = classes, inner

    def __call__(self, text: str) -> str:
        """`tensorrt_bindings.tensorrt.Dims` becomes `Dims`; what cannot be named becomes `Any`."""
        text = text.replace("tensorrt_bindings.tensorrt.", "").replace("collections.abc.", "")
        if "<" in text:  # a C++ template
            return "Any"
        stub = re.sub(r"[A-Za-z_][\w.:]*", lambda found: self._name(found[0]), text)
        return re.sub(r"Any\[.*\]", "Any", stub)

    def _name(self, name: str) -> str:
        name = name.rpartition("::")[2]
        name = CPP_NAMES.get(name.removeprefix("typing.").removeprefix("typing_extensions."), name)
        name = name.removeprefix("typing.").removeprefix("typing_extensions.")
        if name in BUILTINS:
            return f"builtins.{name}"
        if name in ("None", "SupportsInt", "SupportsFloat", "Buffer", "CapsuleType", "Callable", "Any"):
            return name
        return {"buffer": "Buffer", "capsule": "CapsuleType", "Optional": "Any"}.get(
            name, name if name.partition(".")[0] in self.classes else self.inner.get(name, "Any")
        )


def _class(name: str, value: type, types: Types, indent: int = 0) -> list[str]:
    pad, bases = "    " * (indent + 1), [base.__name__ for base in value.__bases__]
    base = ", ".join(types(base) for base in bases if base not in ("object", "pybind11_object"))
    lines = [f"{pad[4:]}class {name}{f'({base})' if base and 'Any' not in base else ''}:"]
    members = getattr(value, "__members__", {})
    for key, member in sorted(vars(value).items()):
        if key in members:
            lines.append(f"{pad}{key}: ClassVar[{_full(value)}]  # = {int(member)}")
        elif isinstance(member, type) and not key.startswith("_"):
            lines += _class(key, member, types, indent + 1)
        elif isinstance(member, property):
            if not key.startswith("_"):
                lines += _property(f"{name}.{key}", member, types, pad)
        elif key == "__init__" and not next(_signatures(member.__doc__ or ""), None):
            continue  # made by other objects only
        elif (not key.startswith("_") or key in DUNDERS) and callable(member):
            lines += _function(f"{name}.{key}", key, member.__doc__ or "", types, indent + 1)
        elif not key.startswith("_"):
            kind = getattr(type(member), "__qualname__", "")
            lines.append(f"{pad}{key}: ClassVar[{types(_full(type(member)) if '.' in kind else kind)}]")
    if members:
        lines.append(f"{pad}__members__: ClassVar[builtins.dict[builtins.str, {_full(value)}]]")
    if name in BUFFERS:
        lines.append(f"{pad}def __buffer__(self, flags: builtins.int, /) -> memoryview: ...")
    return lines if len(lines) > 1 else [f"{lines[0]} ..."]


def _full(value: type) -> str:
    return value.__qualname__


def _property(full: str, value: property, types: Types, pad: str) -> list[str]:
    key = full.rpartition(".")[2]
    signature = next(_signatures(value.fget.__doc__ or ""), None)
    kind = types(signature[1]) if signature else "Any"
    kind += " | None" if full in MAY_BE_NONE else ""
    lines = [f"{pad}@property", f"{pad}def {key}(self) -> {kind}: ..."]
    if value.fset:
        setter = next(_signatures(value.fset.__doc__ or ""), None)
        given = kind
        if setter and len(setter[0]) == 2:
            given = types(setter[0][1].partition(":")[2].strip() or "Any")
        given += " | None" if full in MAY_BE_NONE and "None" not in given else ""
        lines += [f"{pad}@{key}.setter", f"{pad}def {key}(self, value: {given}) -> None: ..."]
    return lines


def _function(full: str, key: str, doc: str, types: Types, indent: int) -> list[str]:
    pad, found = "    " * indent, list(_signatures(doc))
    loose = ("self, " if indent else "") + "*args: Any, **kwargs: Any"
    if not found:
        return [f"{pad}def {key}({loose}) -> Any: ..."]
    lines = []
    for arguments, result in found:
        if indent and not (arguments and arguments[0].startswith("self")):
            lines.append(f"{pad}@staticmethod")
        if len(found) > 1:
            lines.append(f"{pad}@overload")
        listed = [_argument(argument, types) for argument in arguments]
        if indent and arguments and arguments[0].startswith("self"):
            listed[0] = "self"
        returned = types(result) + (" | None" if full in MAY_BE_NONE else "")
        stub = f"def {key}({', '.join(listed)}) -> {returned}: ..."
        lines.append(pad + (stub if _is_python(stub) else f"def {key}({loose}) -> Any: ..."))
    return lines


def _is_python(stub: str) -> bool:
    try:
        ast.parse(stub)
    except SyntaxError:
        return False
    return True


def _argument(text: str, types: Types) -> str:
    if text in ("*", "/"):
        return text
    if text.startswith("*"):
        return f"{text}: Any"
    name, _, rest = text.partition(":")
    name = f"{name.strip()}_" if keyword.iskeyword(name.strip()) else name
    kind, _, default = rest.partition(" = ")
    stub = types(kind.strip()) if kind else "Any"
    stub += " | None" if default.strip() == "None" and "None" not in stub and stub != "Any" else ""
    return f"{name.strip()}: {stub}{' = ...' if default else ''}"


def _signatures(doc: str) -> Iterator[tuple[list[str], str]]:
    """Each `name(a: T, b: T = d) -> R` of a pybind11 docstring, as arguments and result."""
    lines = doc.strip().splitlines()
    if not lines:
        return
    overloads = [line.partition(". ")[2] for line in lines if re.match(r"\d+\. \w+\(", line)]
    for line in overloads or lines[:1]:
        match = re.match(r"\w*\((.*)\) -> (.+)$", line.strip())
        if match:
            yield _split(match[1]), match[2].strip()


def _split(text: str) -> list[str]:
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([{<") - (character in ")]}>")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


if __name__ == "__main__":
    sys.exit(main())
