"""The source tree: files and classes that can be read in one sitting, no import circles, imports that point down, READMEs that name the files that exist.

    python tests/unit/test_tidy.py        # everything in this tree that breaks a rule

Each rule is a function from a tree to sentences, one for each place that breaks it. It is tested on small trees that break it, and applied to this one.
"""

from __future__ import annotations

import ast
import gc
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import pytest

REPOSITORY: Final = Path(__file__).parents[2]

PRODUCT: Final = ("bridge", "devices", "firmware-sim/firmware_sim")
"""The packages of the product. The rules on code see these and nothing else."""

FOLDERS: Final = ("bridge", "config", "devices", "firmware-sim", "tests")
"""The folders whose READMEs, at any depth, name their files."""

FILE_LINES_MAX: Final = 400
FILE_LINES_MEDIAN_MAX: Final = 120
CLASS_METHODS_MAX: Final = 25
PARAMETERS_MAX: Final = 8

MANY_PARAMETERS: Final = {
    "receipt.py:receipt_cbor": "keyword-only: the fields of a receipt",
    "torture.py:torture": "a command: each parameter is an option",
    "device.py:add": "a command: each parameter is an option",
    "device_enrol.py:import_": "a command: each parameter is an option",
    "order_acts.py:amend": "a command: each parameter is an option",
    "order_reads.py:list_": "a command: each parameter is an option",
    "quarantine.py:fix": "a command: each parameter is an option",
    "history.py:history": "a command: each parameter is an option",
    "runs.py:run": "a command: each parameter is an option",
    "sockets.py:run_sockets": "keyword-only: how a run is lived through",
}
"""file:function → why it may have more than `PARAMETERS_MAX` parameters."""

LAYERS: Final = (
    ("firmware_sim",),
    ("bridge.entrypoints",),
    ("bridge.app",),
    ("bridge.broker", "bridge.store", "bridge.outbound", "bridge.sources"),
    ("bridge.operations",),
    ("bridge.projections",),
    ("bridge.ingest",),
    ("bridge.domain",),
    ("devices.protocol",),
)
"""A package imports only packages of later rows, and no other package of its own row. Packages may be missing; a module outside the layers may import any."""

UPWARD: Final = {
    ("bridge.entrypoints.cli.demo", "firmware_sim"): "a shift that simulated devices work",
    ("bridge.entrypoints.cli.sim", "firmware_sim"): "`firmware-sim` under another name",
    ("bridge.entrypoints.cli.torture", "firmware_sim"): "load from simulated clients",
    ("bridge.entrypoints.cli.own_server", "firmware_sim"): "a server that torture kills",
}
"""(module, package above it) → why it may import from there."""


class Module(NamedTuple):
    """One Python file of the product. `name` is the name under which it is imported; a package has the name of its folder."""

    name: str
    path: Path
    lines: int
    classes: tuple[tuple[str, int], ...]
    """(name, number of methods); properties and dunder methods count."""
    functions: tuple[tuple[str, int], ...]
    """(qualified name, number of parameters); self and cls do not count."""
    imports: tuple[tuple[str, str], ...]
    """(module, name in it) of `from module import name`, (module, "") of `import module`; wherever they stand."""


class Tree(NamedTuple):
    """A checkout: its root, and the product's modules by name."""

    root: Path
    modules: dict[str, Module]

    def at(self, path: Path) -> str:
        """A path as it is printed."""
        return path.relative_to(self.root).as_posix()


@cache
def read(root: Path) -> Tree:
    """Parse the product in a checkout."""
    modules = [_module(root / package, path) for package in PRODUCT for path in sorted((root / package).rglob("*.py"))]
    return Tree(root, {m.name: m for m in modules})


def _module(top: Path, path: Path) -> Module:
    parts = path.relative_to(top.parent).with_suffix("").parts
    package = parts[:-1]
    source = path.read_text(encoding="utf-8")
    classes: list[tuple[str, int]] = []
    functions: list[tuple[str, int]] = []
    imports: list[tuple[str, str]] = []
    gc.disable()  # a syntax tree is many small objects without garbage: garbage collection would double the time
    try:
        for within, parent, node in _statements(ast.parse(source), ""):
            if isinstance(node, ast.ClassDef):
                classes.append((within + node.name, sum(isinstance(n, _FUNCTION) for n in node.body)))
            elif isinstance(node, _FUNCTION):
                functions.append((within + node.name, _parameters(node, in_class=isinstance(parent, ast.ClassDef))))
            elif isinstance(node, ast.Import):
                imports += [(alias.name, "") for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                above = package[: len(package) + 1 - node.level] if node.level else ()
                base = ".".join((*above, *([node.module] if node.module else [])))
                imports += [(base, alias.name) for alias in node.names]
    finally:
        gc.enable()
    name = ".".join(package if parts[-1] == "__init__" else parts)
    return Module(name, path, source.count("\n"), tuple(classes), tuple(functions), tuple(imports))


_FUNCTION: Final = (ast.FunctionDef, ast.AsyncFunctionDef)


def _statements(parent: ast.AST, within: str) -> Iterator[tuple[str, ast.AST, ast.AST]]:
    """(qualified name of the enclosing definition, parent, node) of every statement; expressions are left out, because walking them takes most of the time."""
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        for node in getattr(parent, field, ()):
            yield within, parent, node
            yield from _statements(node, f"{within}{node.name}." if isinstance(node, (*_FUNCTION, ast.ClassDef)) else within)


def _parameters(function: ast.FunctionDef | ast.AsyncFunctionDef, *, in_class: bool) -> int:
    a = function.args
    names = [x.arg for x in (*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg) if x is not None]
    return len(names) - (in_class and names[:1] in (["self"], ["cls"]))


# --- size -----------------------------------------------------------------------------------------------------------------


def long_files(tree: Tree) -> list[str]:
    return [f"{tree.at(m.path)} has {m.lines} lines, {FILE_LINES_MAX} at most" for m in tree.modules.values() if m.lines > FILE_LINES_MAX]


def long_files_on_average(tree: Tree) -> list[str]:
    middle = median(m.lines for m in tree.modules.values())
    return [f"the median length of a file is {middle:g} lines, {FILE_LINES_MEDIAN_MAX} at most"] if middle > FILE_LINES_MEDIAN_MAX else []


def large_classes(tree: Tree) -> list[str]:
    return [
        f"{tree.at(module.path)}: class {name} has {methods} methods, {CLASS_METHODS_MAX} at most"
        for module in tree.modules.values()
        for name, methods in module.classes
        if methods > CLASS_METHODS_MAX
    ]


def many_parameters(tree: Tree) -> list[str]:
    return [
        f"{tree.at(module.path)}: {name} has {count} parameters, {PARAMETERS_MAX} at most"
        for module, name, count in _functions_with_many_parameters(tree)
        if f"{module.path.name}:{name}" not in MANY_PARAMETERS
    ]


def _functions_with_many_parameters(tree: Tree) -> Iterator[tuple[Module, str, int]]:
    for module in tree.modules.values():
        yield from ((module, name, count) for name, count in module.functions if count > PARAMETERS_MAX)


# --- imports --------------------------------------------------------------------------------------------------------------


def imports(tree: Tree) -> dict[str, set[str]]:
    """module → the modules of the product that it imports: at its top, in a function, or for the type checker alone.

    `from package import name` imports the submodule if there is one, and otherwise the package. It does not count that every import also runs the
    `__init__.py` of the packages around the module.
    """
    graph = {}
    for module in tree.modules.values():
        targets = {full if (full := f"{base}.{name}") in tree.modules else base for base, name in module.imports}
        graph[module.name] = (targets & tree.modules.keys()) - {module.name}
    return graph


def circles(tree: Tree) -> list[str]:
    """Import circles: each one found is cut at one import to find the next, until none is left."""
    graph = imports(tree)
    found = []
    while True:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            circle: list[str] = error.args[1][:0:-1]  # each imports the next, and the last the first
            graph[circle[0]].discard(circle[1])
            start = circle.index(min(circle))
            found.append("import circle: " + " -> ".join((*circle[start:], *circle[: start + 1])))
        else:
            return sorted(found)


def upward_imports(tree: Tree) -> list[str]:
    """Imports between layers that do not point down, directly or through modules outside the layers."""
    graph = imports(tree)
    found = []
    for importer in graph:
        if (here := _layer(importer)) is None:
            continue
        for path, there in _ways_to_layers(graph, importer):
            if there != here and there[0] <= here[0] and (importer, there[1]) not in UPWARD:
                found.append(f"{' -> '.join(path)}: {here[1]} must not import {there[1]}")
    return found


def _layer(module: str) -> tuple[int, str] | None:
    """(row, package) of a module in `LAYERS`."""
    for row, packages in enumerate(LAYERS):
        for package in packages:
            if module == package or module.startswith(package + "."):
                return row, package
    return None


def _ways_to_layers(graph: dict[str, set[str]], importer: str) -> Iterator[tuple[tuple[str, ...], tuple[int, str]]]:
    """(path, layer) of the shortest import paths from a module to those in layers, through modules outside the layers."""
    todo: list[tuple[str, ...]] = [(importer,)]
    seen = {importer}
    for path in todo:
        for target in sorted(graph[path[-1]] - seen):
            seen.add(target)
            if (layer := _layer(target)) is None:
                todo.append((*path, target))
            else:
                yield (*path, target), layer


# --- READMEs --------------------------------------------------------------------------------------------------------------

_FILE_NAME: Final = re.compile(r"[\w./-]+\.py|[\w./-]+/")
_QUOTED: Final = re.compile(r"`([^`\n]+)`")
_FENCED: Final = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)


def wrong_readmes(tree: Tree) -> list[str]:
    """READMEs with a table of files that leave out a file or name one that is not there.

    A README has a table of files if the first cell of some row names a Python file or a folder. It must then name, anywhere in backticks, each Python file
    and each folder with Python files that stands beside it; a path below a folder names the folder, and `__init__.py` and `__main__.py` need no name.
    Each name in its tables that looks like `file.py` or `folder/` must be the end of a path below it. The README of a folder that has only one package
    and no Python file is that package's.
    """
    found = []
    for readme in (path for folder in FOLDERS for path in sorted((tree.root / folder).rglob("README.md"))):
        text = _FENCED.sub("", readme.read_text(encoding="utf-8"))
        rows = [line for line in text.splitlines() if line.startswith("|")]
        if not any(_file_names(row.split("|")[1]) for row in rows):
            continue
        folder, there = _files_beside(readme)
        named = set(_file_names(text))
        found += [f"{tree.at(readme)} does not name {name}" for name in there if not _is_named(name, named)]
        found += [f"{tree.at(readme)} names {name}, which is not there" for row in rows for name in _file_names(row) if not _exists(folder, name)]
    return found


def _file_names(text: str) -> list[str]:
    return [name for name in _QUOTED.findall(text) if _FILE_NAME.fullmatch(name)]


def _files_beside(readme: Path) -> tuple[Path, list[str]]:
    """(the folder that a README is about, the names of the Python files and packages in it)."""
    folder = readme.parent
    files = sorted(p.name for p in folder.glob("*.py") if not p.name.startswith("__"))
    packages = sorted(p.name for p in folder.iterdir() if p.is_dir() and next(p.rglob("*.py"), None))
    if not files and len(packages) == 1:
        return _files_beside(folder / packages[0] / readme.name)
    return folder, [*files, *(name + "/" for name in packages)]


def _is_named(name: str, named: set[str]) -> bool:
    return name in named or (name.endswith("/") and any(other.startswith(name) for other in named))


def _exists(folder: Path, name: str) -> bool:
    paths = folder.rglob(name.rstrip("/").rsplit("/", 1)[-1])
    return any(path.is_dir() == name.endswith("/") and f"/{path.relative_to(folder).as_posix()}".endswith("/" + name.rstrip("/")) for path in paths)


# --- this tree ------------------------------------------------------------------------------------------------------------

RULES: Final[tuple[Callable[[Tree], list[str]], ...]] = (
    *(long_files, long_files_on_average, large_classes, many_parameters),
    *(circles, upward_imports, wrong_readmes),
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_this_tree_is_without(rule: Callable[[Tree], list[str]]) -> None:
    found = rule(read(REPOSITORY))
    assert not found, "\n" + "\n".join(found)


def test_each_exception_is_still_needed() -> None:
    tree = read(REPOSITORY)
    assert MANY_PARAMETERS.keys() <= {f"{module.path.name}:{name}" for module, name, _ in _functions_with_many_parameters(tree)}
    graph = imports(tree)
    for importer, package in UPWARD:
        assert importer not in graph or any(target.startswith(package + ".") for target in graph[importer])


# --- each rule finds what breaks it ---------------------------------------------------------------------------------------


def tree_of(root: Path, files: Mapping[str, str]) -> Tree:
    """A small checkout with these files."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return read(root)


def test_a_long_file_is_found(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, {"bridge/short.py": "x = 1\n" * 400, "bridge/long.py": "x = 1\n" * 401, "tests/any.py": "x = 1\n" * 401})
    assert long_files(tree) == ["bridge/long.py has 401 lines, 400 at most"]


def test_a_median_that_is_too_high_is_found(tmp_path: Path) -> None:
    files = {"bridge/short.py": "x = 1\n", "bridge/long.py": "x = 1\n" * 130}
    assert not long_files_on_average(tree_of(tmp_path / "fine", files))
    tree = tree_of(tmp_path / "high", files | {"devices/middle.py": "x = 1\n" * 121})
    assert long_files_on_average(tree) == ["the median length of a file is 121 lines, 120 at most"]


def test_a_class_with_many_methods_is_found(tmp_path: Path) -> None:
    fine = "class Fine:\n" + "".join(f"    def m{n}(self): ...\n" for n in range(24)) + "    @property\n    def asked(self): ...\n"
    large = fine.replace("Fine", "Large") + "    async def more(self): ...\n"
    tree = tree_of(tmp_path, {"bridge/a.py": fine + large})
    assert large_classes(tree) == ["bridge/a.py: class Large has 26 methods, 25 at most"]


def test_a_function_with_many_parameters_is_found(tmp_path: Path) -> None:
    eight, nine = "a, b, c, d, e, f, g, h", "a, b, c, /, d, *e, f, g, h, **i"
    files = {
        "bridge/a.py": f"class C:\n    def fine(self, {eight}): ...\n    def many(self, {nine}): ...\n",
        "bridge/b.py": f"def outer():\n    if True:\n        async def inner({nine}): ...\n",
        "bridge/receipt.py": f"def receipt_cbor({nine}): ...\n",
    }
    assert many_parameters(tree_of(tmp_path, files)) == [
        "bridge/a.py: C.many has 9 parameters, 8 at most",
        "bridge/b.py: outer.inner has 9 parameters, 8 at most",
    ]


@pytest.mark.parametrize(
    "back",
    [
        "from bridge.a import x\n",
        "import bridge.a\n",
        "from bridge import a\n",
        "from . import a\n",
        "from .a import x\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from bridge.a import x\n",
        "def f():\n    from bridge.a import x\n",
        "try:\n    import nothing\nexcept ImportError:\n    from bridge.a import x\n",
    ],
)
def test_a_circle_is_found(tmp_path: Path, back: str) -> None:
    tree = tree_of(tmp_path, {"bridge/__init__.py": "", "bridge/a.py": "from bridge import b\n", "bridge/b.py": back})
    assert circles(tree) == ["import circle: bridge.a -> bridge.b -> bridge.a"]


def test_a_package_may_gather_its_modules_but_they_must_not_import_it(tmp_path: Path) -> None:
    fine = {"bridge/p/__init__.py": "from .a import x\n", "bridge/p/a.py": "from ..p.b import y\n", "bridge/p/b.py": "y = 1\n"}
    assert circles(tree_of(tmp_path / "fine", fine)) == []
    tree = tree_of(tmp_path / "circle", fine | {"bridge/p/b.py": "from bridge.p import x\n"})
    assert circles(tree) == ["import circle: bridge.p -> bridge.p.a -> bridge.p.b -> bridge.p"]


def test_each_of_two_circles_is_found(tmp_path: Path) -> None:
    files = {"a": "import bridge.b", "b": "import bridge.a, bridge.c", "c": "import bridge.d", "d": "import bridge.b"}
    assert circles(tree_of(tmp_path, {f"bridge/{name}.py": source for name, source in files.items()})) == [
        "import circle: bridge.a -> bridge.b -> bridge.a",
        "import circle: bridge.b -> bridge.c -> bridge.d -> bridge.b",
    ]


def test_an_import_that_points_up_is_found(tmp_path: Path) -> None:
    files = {
        "bridge/domain/fold.py": "import devices.protocol.bodies\nimport bridge.helper\n",
        "bridge/helper.py": "import bridge.ingest.settle\n",
        "bridge/ingest/settle.py": "import bridge.domain.fold\nimport bridge.errors\n",
        "bridge/errors.py": "",
        "bridge/store/sql.py": "import bridge.broker.door\n",
        "bridge/broker/door.py": "import bridge.ingest.settle\nimport bridge.broker.codec\n",
        "bridge/broker/codec.py": "",
        "bridge/entrypoints/cli/sim.py": "import firmware_sim.cli\n",
        "bridge/entrypoints/cli/db.py": "import firmware_sim.cli\n",
        "bridge/app.py": "def main():\n    import firmware_sim.cli\n",
        "devices/protocol/bodies.py": "",
        "firmware-sim/firmware_sim/cli.py": "import bridge.app\n",
    }
    assert upward_imports(tree_of(tmp_path, files)) == [
        "bridge.app -> firmware_sim.cli: bridge.app must not import firmware_sim",
        "bridge.domain.fold -> bridge.helper -> bridge.ingest.settle: bridge.domain must not import bridge.ingest",
        "bridge.entrypoints.cli.db -> firmware_sim.cli: bridge.entrypoints must not import firmware_sim",
        "bridge.store.sql -> bridge.broker.door: bridge.store must not import bridge.broker",
    ]


README: Final = """# bridge

It starts in `nowhere.py`, outside of any table.

| file | what it holds |
|---|---|
| `app.py` | the parts; `gone.py` helped |
| `domain/` `old/` | rules: `fold.py`, `order/fold.py` |
| `broker/door.py` | the door |

```
`fenced.py`
```
"""


def test_a_readme_that_names_other_files_than_there_are_is_found(tmp_path: Path) -> None:
    files = ("__init__.py", "__main__.py", "app.py", "fenced.py", "domain/fold.py", "broker/door.py", "store/sql.py")
    other = "| kind | what |\n|---|---|\n| `drop` | see `door.py` and `gone.py` |\n"  # not a table of files
    tree = tree_of(tmp_path, {f"bridge/{name}": "" for name in files} | {"bridge/README.md": README, "bridge/broker/README.md": other})
    assert wrong_readmes(tree) == [
        "bridge/README.md does not name fenced.py",
        "bridge/README.md does not name store/",
        "bridge/README.md names gone.py, which is not there",
        "bridge/README.md names old/, which is not there",
        "bridge/README.md names order/fold.py, which is not there",
    ]


def test_the_readme_beside_a_single_package_is_about_that_package(tmp_path: Path) -> None:
    readme = "| where | what |\n|---|---|\n| `link/proxy.py` | the network |\n"
    package = "firmware-sim/firmware_sim"
    tree = tree_of(tmp_path, {f"{package}/run.py": "", f"{package}/link/proxy.py": "", "firmware-sim/README.md": readme})
    assert wrong_readmes(tree) == ["firmware-sim/README.md does not name run.py"]


if __name__ == "__main__":
    violations = [violation for rule in RULES for violation in rule(read(REPOSITORY))]
    print("\n".join(violations) or "tidy")
    sys.exit(bool(violations))
