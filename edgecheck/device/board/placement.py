"""Which execution provider really runs each node of a file.

ONNX Runtime hands every node that a provider does not take to the CPU, without a word. The share of such nodes is
`provider.fallback_share`. Nodes are counted as ONNX Runtime assigned them to providers, before it fuses them: a
provider such as TensorRT or QNN compiles hundreds of nodes into one, which in a profile would weigh as much as a single
node on the CPU. ONNX Runtime tells the assignment since 1.24; of an older one, the nodes that ran are counted.

A provider may leave nodes that only compute shapes to the CPU on purpose. They count as well, but take hardly any time;
the share of the time says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgecheck.device.runtime import execution, probe
from edgecheck.device.runtime.ort import Options
from edgecheck.errors import MeasurementError
from edgecheck.records import from_dict, to_dict
from edgecheck.records.board import Placement, ProviderNodes
from edgecheck.scratch import temporary_folder

MICRO = 1e-6
RECORD = {"session.record_ep_graph_assignment_info": "1"}


def place(path: str | Path, options: Options, shape: tuple[int, int, int]) -> Placement:
    """Run a file under the profiler and return the execution provider of each node.

    ONNX Runtime may crash on a file; `place_apart` does the same in a separate process.

    Args:
        path: the file.
        options: how it is run, with the provider that is asked for.
        shape: channels, height, width of an image, for the dimensions that the file leaves free.

    Raises:
        ConfigError: this ONNX Runtime does not have the provider.
        ModelError: ONNX Runtime cannot run the file, or it is not an image classifier.
        MeasurementError: a run failed, or the profile cannot be read.
    """
    with temporary_folder() as folder:
        try:
            done = execution.profile(Path(path), options, shape, folder, entries=RECORD)
            return placed(options.provider, done.events, done.runs, _assigned(done.session))
        except (KeyError, ValueError, OSError) as error:
            raise MeasurementError(f"{path}: ONNX Runtime's profile cannot be read ({error!r})") from None


def place_apart(path: str | Path, options: Options, shape: tuple[int, int, int]) -> Placement:
    """Return what `place` returns, computed in a process with a limit of time and memory.

    Raises:
        EdgecheckError: as `place`.
        MeasurementError: the process crashed, took too long or needed too much memory.
    """
    return from_dict(probe.in_child(__name__, Path(path), options, {"shape": shape}), Placement)


def placed(
    asked: str, events: Sequence[Mapping[str, Any]], runs: int, assigned: Mapping[str, int] | None = None
) -> Placement:
    """Return the placement that a profile tells.

    Args:
        asked: the provider that was asked for.
        events: of nodes, as `execution.profile` returns them.
        runs: the number of runs in the profile, at least 1.
        assigned: the number of nodes assigned to each provider; None if ONNX Runtime does not tell.

    Raises:
        KeyError: an event without its provider.
    """
    names: defaultdict[str, dict[tuple[str, str], str]] = defaultdict(dict)
    spent: defaultdict[str, float] = defaultdict(float)
    for event in events:
        told, name = event["args"], str(event["name"]).removesuffix(execution.EVENT_SUFFIX)
        # Nodes inside of loops and branches may have the name of one outside.
        names[told["provider"]][name, str(told.get("node_index", ""))] = name
        spent[told["provider"]] += event["dur"] * MICRO
    counts = assigned or {provider: len(ran) for provider, ran in names.items()}
    providers = {
        provider: ProviderNodes(counts.get(provider, 0), spent[provider] / runs, list(names[provider].values()))
        for provider in sorted({*counts, *names})
    }
    return Placement(asked, providers, runs, "assigned" if assigned else "ran")


def _assigned(session: Any) -> dict[str, int] | None:
    """Return the number of nodes that ONNX Runtime assigned to each provider; None if it does not tell."""
    if not hasattr(session, "get_provider_graph_assignment_info"):
        return None
    counts: defaultdict[str, int] = defaultdict(int)
    for part in session.get_provider_graph_assignment_info():
        counts[part.ep_name] += len(part.get_nodes())
    return dict(counts)


def _told(path: Path, options: Options, request: Mapping[str, Any]) -> dict[str, Any]:
    channels, height, width = request["shape"]
    return to_dict(place(path, options, (channels, height, width)))


def main(arguments: list[str]) -> int:
    """Be the process of `place_apart`; return the exit code."""
    return probe.answer(arguments, _told)
