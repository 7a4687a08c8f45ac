"""Read a pickle as data: no class of it is constructed, no function of it is called.

A pickle is a program for a small stack machine; `pickle.load` runs it, and so imports and calls whatever it
names. Here the program is interpreted: a global becomes a `Global`, an instance a `Record` that only holds
its state, and a global that is not on the caller's list ends the reading with its name. Opcodes as
documented in the standard library's `pickletools`.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable


class CheckpointError(ValueError):
    """A file is not a checkpoint that can be read safely; the message says what was found."""


@dataclass(frozen=True, slots=True)
class Global:
    """A class or function that the pickle names; nothing more than its name."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(slots=True, eq=False, repr=False)
class Record:
    """Stands in for an instance: what it would be, its arguments and its attributes.

    Attributes:
        kind: Dotted name of its class.
        args: What its class was called with.
        state: Its `__dict__`; empty where the pickle gives another kind of state.
    """

    kind: str
    args: tuple[Any, ...] = ()
    state: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Rules:
    """What a pickle may name.

    Attributes:
        is_class: Says whether a global is a class whose instances may appear as records.
        calls: Functions the pickle may call, each with our own stand-in, which gets the arguments.
        constants: Globals that are only passed on.
        persistent: Turns a persistent reference into a value.
    """

    is_class: Callable[[Global], bool]
    calls: dict[str, Callable[..., Any]]
    constants: frozenset[str]
    persistent: Callable[[Any], Any]


_VALUES = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
}  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_SET": lambda: Record("set"),
}  # fmt: skip
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_KEYS = (str, int, float, bytes, type(None))


class _Machine:
    """The stack, the memo, and one method for each group of opcodes."""

    def __init__(self, label: str, rules: Rules) -> None:
        self.label, self.rules = label, rules
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        names = [name for name in dir(self) if name.startswith("op_")]
        self.steps: dict[str, Callable[[Any], None]] = {n[3:].upper(): getattr(self, n) for n in names}

    def run(self, data: bytes) -> Any:
        for opcode, argument, _ in pickletools.genops(data):
            name = opcode.name
            if name in _VALUES:
                self.stack.append(argument)
            elif name in _CONSTANTS:
                self.stack.append(_CONSTANTS[name])
            elif name in _EMPTY:
                self.stack.append(_EMPTY[name]())
            elif name in _TUPLES:
                self.stack[-_TUPLES[name] :] = [tuple(self.take(_TUPLES[name]))]
            elif name in self.steps:
                self.steps[name](argument)
            elif name not in ("PROTO", "FRAME", "STOP"):
                self.refuse(f"its pickle has the instruction {name}, which no checkpoint needs")
        (result,) = self.stack
        return result

    def refuse(self, found: str) -> NoReturn:
        shown = "".join(c if c.isprintable() else "?" for c in found[:160])
        raise CheckpointError(
            f"{self.label}: {shown}; nothing of it was run. Expected tensors and layers of models.yolo and "
            "models.common alone. Fix: get the file from a source you trust"
        )

    def take(self, count: int) -> list[Any]:
        if len(self.stack) < count + (self.marks[-1] if self.marks else 0):
            raise IndexError("stack underflow")
        return self.stack[-count:]

    def pop(self) -> Any:
        self.take(1)
        return self.stack.pop()

    def pop_to_mark(self) -> list[Any]:
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def op_mark(self, _: Any) -> None:
        self.marks.append(len(self.stack))

    def op_tuple(self, _: Any) -> None:
        self.stack.append(tuple(self.pop_to_mark()))

    def op_binput(self, index: int) -> None:
        self.memo[index] = self.take(1)[0]

    op_put = op_long_binput = op_binput

    def op_memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.take(1)[0]

    def op_binget(self, index: int) -> None:
        self.stack.append(self.memo[index])

    op_get = op_long_binget = op_binget

    def op_append(self, _: Any) -> None:
        self.extend([self.pop()])

    def op_additems(self, _: Any) -> None:
        self.pop_to_mark()  # what a set holds is never needed, and never hashed

    def op_appends(self, _: Any) -> None:
        self.extend(self.pop_to_mark())

    def extend(self, values: list[Any]) -> None:
        if not isinstance(target := self.take(1)[0], list):
            self.refuse(f"its pickle appends to a {type(target).__name__}")
        target.extend(values)

    def op_setitem(self, _: Any) -> None:
        value, key = self.pop(), self.pop()
        self.update([key, value])

    def op_setitems(self, _: Any) -> None:
        self.update(self.pop_to_mark())

    def update(self, flat: list[Any]) -> None:
        target = self.take(1)[0]
        if not isinstance(target, dict) or not all(isinstance(key, _KEYS) for key in flat[::2]):
            self.refuse(f"its pickle sets items of a {type(target).__name__}, or under keys that are no text")
        target.update(zip(flat[::2], flat[1::2], strict=True))

    def op_global(self, names: str) -> None:
        module, _, name = names.partition(" ")
        found = Global(module, name)
        known = str(found) in self.rules.calls or str(found) in self.rules.constants
        if "." in name or not (known or self.rules.is_class(found)):
            self.refuse(f"its pickle asks for `{found}`")
        self.stack.append(found)

    def op_stack_global(self, _: Any) -> None:
        name, module = self.pop(), self.pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            self.refuse("its pickle asks for a global without a name")
        self.op_global(f"{module} {name}")

    def op_reduce(self, _: Any) -> None:
        args, target = self.pop(), self.pop()
        if not (isinstance(target, Global) and isinstance(args, tuple) and str(target) in self.rules.calls):
            self.refuse(f"its pickle calls `{_name(target)}`")
        self.stack.append(self.rules.calls[str(target)](*args))

    def op_newobj(self, _: Any) -> None:
        args, target = self.pop(), self.pop()
        if not (isinstance(target, Global) and isinstance(args, tuple) and self.rules.is_class(target)):
            self.refuse(f"its pickle constructs a `{_name(target)}`")
        self.stack.append(Record(str(target), args))

    def op_build(self, _: Any) -> None:
        state, target = self.pop(), self.take(1)[0]
        if isinstance(target, Record):
            target.state = state if isinstance(state, dict) else {}
        elif not isinstance(target, dict):  # an OrderedDict's attributes (`_metadata`) are not needed
            self.refuse(f"its pickle sets the state of a {type(target).__name__}")

    def op_binpersid(self, _: Any) -> None:
        self.stack.append(self.rules.persistent(self.pop()))


def _name(value: object) -> str:
    return str(value) if isinstance(value, Global) else type(value).__name__


def read_pickle(data: bytes, label: str, rules: Rules) -> Any:
    """The value that a pickle describes, made of plain containers and `Record`s.

    Args:
        data: The pickle.
        label: What to call it in an error, for example the file's name.
        rules: What it may name.

    Raises:
        CheckpointError: It names something else, or it is damaged. Nothing of it was run either way.

    Example:
        >>> import os, pickle
        >>> class Trick:
        ...     def __reduce__(self):
        ...         return os.system, ("echo caught",)
        >>> nothing = Rules(lambda found: False, {}, frozenset(), lambda reference: None)
        >>> read_pickle(pickle.dumps({"epoch": 3}), "a.pt", nothing)
        {'epoch': 3}
        >>> read_pickle(pickle.dumps(Trick()), "a.pt", nothing)
        Traceback (most recent call last):
        helpers.pickles.CheckpointError: a.pt: its pickle asks for `...system`; nothing of it was run. ...
    """
    try:
        return _Machine(label, rules).run(data)
    except CheckpointError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {str(error)[:120]}"
        raise CheckpointError(
            f"{label}: its pickle is damaged ({reason}); nothing of it was run. Fix: get the file again"
        ) from error
