"""Make mutants of a module: its source with one operator, constant, branch, argument or statement changed.

Changes are cut into the source text, at the places that `ast` names, because onnxscript reads the source of
its functions. The libraries for this were looked at: mutmut calls mutants through trampolines, so onnxscript
would not see them, and forces no `if`; cosmic-ray swaps an operator for eleven others and brings a database.

What is left alone, because it cannot change what the code does, or only words it:

- docstrings, annotations, `__all__`, imports, `if TYPE_CHECKING`, decorators, the type in `cast`;
- text with a space in it (prose), every text in an error, and what an f-string puts into its holes;
- `strict=` of `zip`, and 9223372036854775807, which is "to the end" in `Slice`;
- the order of what `Add`, `Mul`, `Max`, `Min`, `And`, `Or` and `Equal` take;
- an index of 0 as -1, which is the same of one element (1 is tried);
- the removal of an operator's attribute that has its default value, and truth values like `keepdims=2`.

And what another mutant shows as well: the removal of a statement that is all of an `if` (that `if` never
true), a condition turned round (always and never true), `or` for `and` (each operand left out).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import onnx

__all__ = ["Mutant", "mutants_of"]

OPERATORS = {
    ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "/"), ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"), ast.Mod: ("%", "*"), ast.Pow: ("**", "*"), ast.MatMult: ("@", "*"),
    ast.BitOr: ("|", "&"), ast.BitAnd: ("&", "|"), ast.LShift: ("<<", ">>"), ast.RShift: (">>", "<<"),
    ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="), ast.NotEq: ("!=", "=="), ast.Is: ("is", "is not"), ast.IsNot: (r"is\s+not", "is"),
    ast.In: ("in", "not in"), ast.NotIn: (r"not\s+in", "in"),
}  # fmt: skip
BOTH_WAYS = [
    ("min", "max"), ("any", "all"), ("floor", "ceil"), ("minimum", "maximum"), ("argmin", "argmax"),
    ("zeros", "ones"), ("startswith", "endswith"), ("lower", "upper"), ("float32", "float64"),
    ("int64", "int32"), ("FLOAT", "DOUBLE"), ("INT64", "INT32"), ("Add", "Sub"), ("Mul", "Div"),
    ("ReduceMax", "ReduceMin"), ("ArgMax", "ArgMin"), ("Max", "Min"), ("And", "Or"), ("Floor", "Ceil"),
    ("Greater", "GreaterOrEqual"), ("Less", "LessOrEqual"),
]  # fmt: skip
NAMES = {a: b for pair in BOTH_WAYS for a, b in (pair, pair[::-1])}
NAMES |= {"Round": "Floor", "Sigmoid": "Tanh", "CopyFrom": "MergeFrom", "sorted": "list", "reversed": "list"}
NAMES |= {"round": "int", "FLOAT16": "FLOAT", "float16": "float32", "INT8": "UINT8", "UINT8": "INT8"}
ORDERLESS = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)
ANY_ORDER = {"Add", "Mul", "Max", "Min", "And", "Or", "Equal"}
TRUTHS = {"keepdims", "largest", "sorted"}
TO_THE_END = 2**63 - 1


@dataclass(frozen=True)
class Mutant:
    """One change of a source text; offsets are in bytes of UTF-8."""

    start: int
    end: int
    old: str
    new: str
    line: int
    function: str

    def applied(self, source: str) -> str:
        """The source with this change."""
        data = source.encode()
        return (data[: self.start] + self.new.encode() + data[self.end :]).decode()

    def name(self, source: str) -> str:
        """The function and the changed line: what a verdict is kept under, as line numbers move."""
        first, last = len(source.encode()[: self.start].decode().splitlines()) - 1, self.new.count("\n")
        after = self.applied(source).splitlines()[max(first, self.line - 1) :][: last + 1]
        text = " ".join(line.strip() for line in after)
        return f"{self.function}: {text}" + (f" for {self.old.splitlines()[0]}" if text == "pass" else "")


def mutants_of(source: str) -> list[Mutant]:
    """Every mutant of a module, in the order of the source, without what does not parse or says the same."""
    maker, found = _Maker(source), {}
    original = ast.dump(ast.parse(source))
    for mutant in sorted(maker.made(), key=lambda each: (each.start, each.end, each.new)):
        text = mutant.applied(source)
        try:
            tree = ast.parse(text)
        except SyntaxError:
            continue
        if ast.dump(tree) != original:
            found.setdefault(text, mutant)
    return list(found.values())


class _Maker:
    """Walks a module and cuts."""

    def __init__(self, source: str) -> None:
        self.data = source.encode()
        self.tree = ast.parse(source)
        self.starts = [0]
        for line in self.data.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))

    def span(self, node: ast.AST) -> tuple[int, int]:
        start = self.starts[node.lineno - 1] + node.col_offset
        return start, self.starts[node.end_lineno - 1] + node.end_col_offset

    def text(self, node: ast.AST) -> str:
        start, end = self.span(node)
        return self.data[start:end].decode()

    def cut(self, start: int, end: int, new: str) -> Mutant:
        """A mutant whose function `made` fills in."""
        old = self.data[start:end].decode()
        return Mutant(start, end, old, new, self.data[:start].count(b"\n") + 1, "")

    def swap(self, node: ast.AST, new: str) -> Mutant:
        return self.cut(*self.span(node), new)

    def made(self) -> Iterator[Mutant]:
        yield from self.walk(self.tree, "module", ())

    def walk(self, node: ast.AST, function: str, above: tuple[ast.AST, ...]) -> Iterator[Mutant]:
        if _is_left_alone(node):
            return
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            function = node.name if function == "module" else f"{function}.{node.name}"
        for mutant in self.changes(node, above):
            yield Mutant(mutant.start, mutant.end, mutant.old, mutant.new, mutant.line, function)
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "decorator_list") or isinstance(node, ast.JoinedStr):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not _is_no_matter(node, child):
                    yield from self.walk(child, function, (*above, node))

    def changes(self, node: ast.AST, above: tuple[ast.AST, ...]) -> Iterator[Mutant]:
        if isinstance(node, ast.Constant | ast.JoinedStr):
            yield from self.constants(node, above)
        elif isinstance(node, ast.BinOp):
            yield from self.between(node.left, node.right, node.op)
        elif isinstance(node, ast.Compare):
            operands = pairwise([node.left, *node.comparators])
            for (left, right), sign in zip(operands, node.ops, strict=True):
                if not (_is_condition(node, above) and isinstance(sign, ORDERLESS)):
                    yield from self.between(left, right, sign)
        elif isinstance(node, ast.BoolOp):
            yield from (self.swap(value, str(isinstance(node.op, ast.And))) for value in node.values)
        elif isinstance(node, ast.UnaryOp) and not _is_condition(node, above):
            yield self.swap(node, self.text(node).removeprefix("not").lstrip("-+~ "))
        elif isinstance(node, ast.Call):
            yield from self.calls(node)
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            yield from self.names(node)
        elif isinstance(node, ast.ExceptHandler) and node.type is not None:
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else []
            yield self.swap(node.type, "()")
            yield from (self.swap(kind, "()") for kind in kinds)
        else:
            yield from self.statements(node, above)

    def constants(self, node: ast.Constant | ast.JoinedStr, above: tuple[ast.AST, ...]) -> Iterator[Mutant]:
        value = getattr(node, "value", "")
        if isinstance(value, bool):
            yield self.swap(node, str(not value))
        elif isinstance(value, int) and value != TO_THE_END:
            is_truth = isinstance(above[-1], ast.keyword) and above[-1].arg in TRUTHS
            is_index = isinstance(above[-1], ast.Subscript) and node is above[-1].slice
            numbers = (1 - value,) if is_truth else (1,) if is_index and not value else (value + 1, value - 1)
            yield from (self.swap(node, str(new) if new >= 0 else f"({new})") for new in numbers)
        elif isinstance(value, float):
            yield from (self.swap(node, repr(new)) for new in ([value * 2, value / 2] if value else [1.0]))
        elif isinstance(value, str) and not _only_words(node, above):
            yield self.swap(node, re.sub(r"^(\w*(?:\"\"\"|'''|[\"']))", r"\1XX", self.text(node), count=1))

    def between(self, left: ast.AST, right: ast.AST, sign: ast.AST) -> Iterator[Mutant]:
        """Another operator between two operands; brackets stay."""
        start, end = self.span(left)[1], self.span(right)[0]
        old, new = OPERATORS[type(sign)]
        found = re.search(old if old[0].isalpha() else re.escape(old), self.data[start:end].decode())
        if found:
            yield self.cut(start + found.start(), start + found.end(), new)

    def forced(self, test: ast.expr, *, both: bool = True) -> Iterator[Mutant]:
        """A condition that is always or never true; names that it binds stay bound."""
        if not isinstance(test, ast.Constant):
            yield self.swap(test, f"({self.text(test)}) and False")
            if both:
                yield self.swap(test, f"({self.text(test)}) or True")

    def names(self, node: ast.Name | ast.Attribute) -> Iterator[Mutant]:
        """A name that does nearly the same."""
        name = node.id if isinstance(node, ast.Name) else node.attr
        if name in NAMES:
            end = self.span(node)[1]
            yield self.cut(end - len(name.encode()), end, NAMES[name])

    def calls(self, node: ast.Call) -> Iterator[Mutant]:
        """Without a keyword; operators and NumPy without the last argument; an operator's inputs swapped."""
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        library = getattr(getattr(node.func, "value", None), "id", "")
        is_operator = library in ("op", "op18")
        given = sorted([*node.args, *node.keywords], key=self.span)
        for place, each in enumerate(given):
            start, end = self.span(each)
            if name == "zip":
                continue
            is_last = len(node.args) > 1 and each is node.args[-1] and (is_operator or library == "np")
            if not is_last and not (isinstance(each, ast.keyword) and each.arg):
                continue
            if is_operator and isinstance(each, ast.keyword) and _is_default(name, each):
                continue
            if place:
                start = self.data.index(b",", self.span(given[place - 1])[1])
            elif len(given) > 1:
                end = self.span(given[1])[0]
            yield self.cut(start, end, "")
        if is_operator and name not in ANY_ORDER:
            for first, second in pairwise(node.args):
                (start, middle), (after, end) = self.span(first), self.span(second)
                gap = self.data[middle:after].decode()
                yield self.cut(start, end, self.text(second) + gap + self.text(first))

    def statements(self, node: ast.AST, above: tuple[ast.AST, ...]) -> Iterator[Mutant]:
        if isinstance(node, ast.If | ast.IfExp):
            yield from self.forced(node.test)
        elif isinstance(node, ast.comprehension):
            for test in node.ifs:
                yield from self.forced(test)
        elif isinstance(node, ast.While):
            yield from self.forced(node.test, both=False)
        elif isinstance(node, ast.For):
            yield self.swap(node.iter, "()")
        elif isinstance(node, ast.Continue | ast.Break):
            yield self.swap(node, "break" if isinstance(node, ast.Continue) else "continue")
        elif isinstance(node, ast.Return) and node.value is not None and not _is_script(above):
            yield self.swap(node.value, "None")
        elif _is_removable(node) and not _is_alone(node, above):
            yield self.swap(node, "pass")
        if isinstance(node, ast.AugAssign):
            start, end = self.span(node.target)[1], self.span(node.value)[0]
            old, new = OPERATORS[type(node.op)]
            yield self.cut(start, end, self.data[start:end].decode().replace(old, new))


def _is_left_alone(node: ast.AST) -> bool:
    """Docstrings, imports, `__all__`, `if TYPE_CHECKING`."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.Assign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return any(getattr(target, "id", "") == "__all__" for target in targets)
    checking = isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
    return checking or isinstance(node, ast.Import | ast.ImportFrom)


def _is_no_matter(node: ast.AST, child: ast.AST) -> bool:
    """The first argument of `cast`, the keyword of `zip`."""
    name = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
    return (name == "cast" and child is node.args[0]) or (name == "zip" and isinstance(child, ast.keyword))


def _only_words(node: ast.Constant | ast.JoinedStr, above: tuple[ast.AST, ...]) -> bool:
    """Prose, or part of an error."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    if any(" " in str(getattr(part, "value", "")) for part in parts if isinstance(part, ast.Constant)):
        return True
    calls = [each for each in above if isinstance(each, ast.Call)]
    return any(getattr(each.func, "id", "").endswith("Error") for each in calls) or any(
        isinstance(each, ast.Raise) for each in above
    )


def _is_default(operator: str, given: ast.keyword) -> bool:
    """Whether an operator's attribute has the value that it has without being given."""
    attribute = onnx.defs.get_schema(operator).attributes.get(given.arg) if onnx.defs.has(operator) else None
    if attribute is None or not attribute.default_value.type or not isinstance(given.value, ast.Constant):
        return False
    return bool(onnx.helper.get_attribute_value(attribute.default_value) == given.value.value)


def _is_script(above: tuple[ast.AST, ...]) -> bool:
    """Within an onnxscript function, whose result is no Python value."""
    functions = [each for each in above if isinstance(each, ast.FunctionDef)]
    return any("script" in ast.dump(mark) for each in functions for mark in each.decorator_list)


def _is_removable(node: ast.AST) -> bool:
    """A statement that can be missing without a name being missing."""
    if isinstance(node, ast.Assign):
        return all(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets)
    return isinstance(node, ast.AugAssign | ast.Raise | ast.Delete) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    )


def _is_condition(node: ast.AST, above: tuple[ast.AST, ...]) -> bool:
    """All of a condition, which is forced both ways anyway."""
    parent = above[-1]
    return node in getattr(parent, "ifs", []) or node is getattr(parent, "test", None)


def _is_alone(node: ast.AST, above: tuple[ast.AST, ...]) -> bool:
    """All of an `if` without `else`."""
    parent = above[-1]
    return isinstance(parent, ast.If) and parent.body == [node] and not parent.orelse
