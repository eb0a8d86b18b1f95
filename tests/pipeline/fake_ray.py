"""A module `ray` without a cluster: tasks run in this process, and nodes are as a test describes them."""

import importlib.machinery
from collections import deque
from types import ModuleType, SimpleNamespace

OWN = "own"


def errors():
    base = type("RayError", (Exception,), {})
    names = ("WorkerCrashedError", "NodeDiedError", "LocalRayletDiedError", "OutOfMemoryError", "RayTaskError")
    more = {"GetTimeoutError": type("GetTimeoutError", (base, TimeoutError), {})}
    return SimpleNamespace(RayError=base, **{name: type(name, (base,), {}) for name in names}, **more)


def node(name=OWN, alive=True, **resources):
    return {"NodeID": name, "NodeManagerAddress": f"address-{name}", "Alive": alive, "Resources": resources}


class Stored:
    def __init__(self, value):
        self.value = value


class Task:
    def __init__(self, ray, function, options):
        self.ray, self.function, self.given = ray, function, options

    def options(self, **more):
        return Task(self.ray, self.function, self.given | more)

    def remote(self, *arguments):
        return self.ray.run(self, arguments)


class FakeRay(ModuleType):
    """Notes what it was asked for in `begun`, `ended` and `tasks`.

    Args:
        nodes: as `ray.nodes` returns them.
        looks: changes of what `look` tells about a node, by node.
        losses: what the next tasks of stages end with instead of a result, by the name of the error; "" for none.
    """

    def __init__(self, nodes=None, looks=None, losses=()):
        super().__init__("ray")
        self.__spec__ = importlib.machinery.ModuleSpec("ray", None)
        self.exceptions = errors()
        self.cloudpickle = SimpleNamespace(register_pickle_by_value=lambda module: None)
        strategies = SimpleNamespace(NodeAffinitySchedulingStrategy=lambda node_id, soft: (node_id, soft))
        self.util = SimpleNamespace(scheduling_strategies=strategies)
        self._nodes, self.looks, self.losses = nodes or [node(CPU=2)], looks or {}, deque(losses)
        self.begun, self.tasks, self.ended, self.stored = None, [], 0, 0
        self.refuses = None

    def init(self, **options):
        self.begun = options
        if self.refuses:
            raise self.refuses

    def shutdown(self):
        self.ended += 1

    def nodes(self):
        return self._nodes

    def get_runtime_context(self):
        return SimpleNamespace(get_node_id=lambda: OWN)

    def remote(self, **options):
        return lambda function: Task(self, function, options)

    def run(self, task, arguments):
        arguments = [value.value if isinstance(value, Stored) else value for value in arguments]
        if task.function.__name__ == "look":
            where = task.given["scheduling_strategy"][0]
            change = self.looks.get(where, {})
            return change if isinstance(change, Exception) else merged(task.function(*arguments), change)
        self.tasks.append(task)
        lost = self.losses.popleft() if self.losses else ""
        if lost:
            return iter([getattr(self.exceptions, lost)("first line\nmore")])
        return iter(list(task.function(*arguments)))  # as a whole: it redirects the stdout of this process

    def put(self, value):
        self.stored += 1
        return Stored(value)

    def wait(self, references, num_returns=1, timeout=None):
        return references, []

    def get(self, reference, timeout=None):
        if isinstance(reference, Exception):
            raise reference
        return reference

    def cancel(self, reference, force):
        pass


def merged(described, change):
    """Return a description with some of its parts changed, those of parts one by one."""
    parts = {key: {**described[key], **value} if isinstance(value, dict) else value for key, value in change.items()}
    return {**described, **{key: value(described) if callable(value) else value for key, value in parts.items()}}
