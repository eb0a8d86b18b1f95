"""YAML that cannot grow: nested no deeper, and with its aliases written out no larger, than a configuration is.

Ten lines of aliases to aliases stand for a billion items ("billion laughs"), a thousand brackets end Python's stack.
"""

from __future__ import annotations

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.error import MarkedYAMLError, StringMark
from ruamel.yaml.events import AliasEvent
from ruamel.yaml.nodes import Node, ScalarNode

# A configuration has five levels; the arguments of a factory may add some.
MOST_DEPTH = 50
# A thousand variants have about 10,000.
MOST_NODES = 100_000


def load(text: str) -> Any:
    """Return the document, whose mappings and lists remember their lines.

    Raises:
        MarkedYAMLError: not YAML, nested too deeply, or too large.
        YAMLError, ValueError, RecursionError: as ruamel.yaml.
    """
    yaml = YAML(typ="rt", pure=True)
    yaml.Composer = _Bounded
    return yaml.load(text)


class _Bounded(Composer):
    """Counts the nodes below each node while it is composed; those of an alias count wherever it stands."""

    def __init__(self, loader: Any = None) -> None:
        super().__init__(loader)
        self.level = 0
        self.sizes: dict[int, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        alias, mark = self.parser.check_event(AliasEvent), self.parser.peek_event().start_mark
        if self.level >= MOST_DEPTH:
            raise _refusal(f"nested more than {MOST_DEPTH} levels deep", mark)
        self.level += 1
        node = super().compose_node(parent, index)
        self.level -= 1
        if alias and id(node) not in self.sizes:
            raise _refusal("an alias inside what it stands for", mark)
        size = self.sizes.setdefault(id(node), 1 + sum(map(self._size, _children(node))))
        if size > MOST_NODES:
            raise _refusal(f"more than {MOST_NODES:,} items, aliases written out", mark)
        return node

    def _size(self, node: Node) -> int:
        return self.sizes[id(node)]


def _children(node: Node) -> list[Node]:
    if isinstance(node, ScalarNode):
        return []
    return [part for child in node.value for part in (child if isinstance(child, tuple) else (child,))]


def _refusal(problem: str, mark: StringMark) -> MarkedYAMLError:
    return MarkedYAMLError(problem=problem, problem_mark=mark)
