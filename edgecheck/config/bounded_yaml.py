"""A YAML loader with limits on the nesting depth and on the number of items after aliases are expanded.

Without them, ten lines of nested aliases expand to a billion items ("billion laughs"), and a thousand opening brackets
exhaust Python's stack.
"""

from __future__ import annotations

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, StringMark
from ruamel.yaml.events import AliasEvent
from ruamel.yaml.nodes import Node, ScalarNode

# A configuration has five levels; the arguments of a model factory may add a few.
MOST_DEPTH = 50
# A configuration with a thousand variants has about 10,000 nodes.
MOST_NODES = 100_000


def load(text: str) -> Any:
    """Parse a document; its mappings and lists keep their line numbers.

    Raises:
        MarkedYAMLError: the text is not YAML, is nested too deeply, or is too large.
        YAMLError, ValueError, RecursionError: raised by ruamel.yaml.
    """
    yaml = YAML(typ="rt", pure=True)
    yaml.Composer = _Bounded
    yaml.Constructor = _Dated
    return yaml.load(text)


class _Bounded(Composer):
    """Count the nodes below each node while composing it; the nodes of an alias count at every use."""

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
            raise _refusal("an alias inside its own anchor", mark)
        size = self.sizes.setdefault(id(node), 1 + sum(map(self._size, _children(node))))
        if size > MOST_NODES:
            raise _refusal(f"more than {MOST_NODES:,} items after expanding aliases", mark)
        return node

    def _size(self, node: Node) -> int:
        return self.sizes[id(node)]


class _Dated(RoundTripConstructor):
    """Tell the line of a day that no month has, which ruamel.yaml does not."""

    def construct_yaml_timestamp(self, node: Any, values: Any = None) -> Any:
        try:
            return super().construct_yaml_timestamp(node, values)
        except ValueError as error:
            raise _refusal(f"{node.value} is not a day: {error}", node.start_mark) from None


_Dated.add_constructor("tag:yaml.org,2002:timestamp", _Dated.construct_yaml_timestamp)


def _children(node: Node) -> list[Node]:
    if isinstance(node, ScalarNode):
        return []
    return [part for child in node.value for part in (child if isinstance(child, tuple) else (child,))]


def _refusal(problem: str, mark: StringMark) -> MarkedYAMLError:
    return MarkedYAMLError(problem=problem, problem_mark=mark)
