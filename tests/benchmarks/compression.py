"""Does what the product promises of pruned networks hold? Every criterion with every structure, on six networks.

python -m tests.benchmarks.compression [--json] [--network NAME ...] [--criterion NAME ...]

A row is one network pruned at rate 0.3, whose random weights hide no mistake. Promised is that it runs; that ONNX
Runtime's logits from its file are those of the module; that three counts of MACs agree (on the file, on the shapes that
hooks see, by torch) and two of trainable parameters (ours, torch-pruning's); that removing filters makes the file
smaller and zeros leave its size alone; that at rate 0.5, where both round alike, as many parameters are left as by
torch-pruning's own pruner. Of each network, that removing channels made dead by hand moves no logit.

Latency is shown and not judged: it is measured, not promised. Within a structure networks of equal shapes share one
measurement, and at layer scope all criteria leave the same shapes. With --json, rows go to stderr as they come.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import torch
from attrs import frozen
from torch import Tensor, nn

from edgecheck.device.latency import sampler, timings
from edgecheck.device.model import graph
from edgecheck.device.runtime import session
from edgecheck.errors import ConfigError
from edgecheck.lab.export import export
from edgecheck.lab.prune import Samples, check_fits, prune, rank, uncompressed
from edgecheck.pruning.checks import check_step
from edgecheck.pruning.criteria import CRITERIA
from edgecheck.steps import PruneStep
from tests.benchmarks.peers import dead_channels, hand_count, params, peer_params
from tests.benchmarks.subjects import PRUNABLE, Prunable
from tests.device.exports import macs as torch_macs
from tests.lab.prune.networks import randomized

SCOPES = {"unstructured": "global", "filters": "layer", "2:4": "layer"}
RATE = 0.3
PEER_RATE = 0.5  # of the even widths of these networks half is a whole number: nothing to round
RATE_SLACK = 0.02  # of filters and of weights: layers of 16 channels cannot lose 30 % exactly
PARITY = 1e-3  # absolute, on logits of up to a hundred or so
DEAD = 1e-4  # of the largest logit or of 1, as the product's own check: float32 sums in another order
LATENCY_BUDGET_S = 2.0  # enough for 200 blocks of the smallest network and 6 of the largest
IMAGES = 16
SEED = 0


@frozen(eq=False)
class Setting:
    """A network filled with numbers, its file, and what to compare with."""

    name: str
    network: Prunable
    model: nn.Module
    folder: Path
    peer_params: int
    peer: str
    ratios: dict[tuple, dict[str, float | None]]

    @property
    def shape(self) -> tuple[int, int, int]:
        return (3, self.network.side, self.network.side)

    @property
    def example(self) -> Tensor:
        return torch.zeros(1, *self.shape)

    @property
    def baseline(self) -> Path:
        return self.folder / f"{self.name}.onnx"

    def samples(self, count: int) -> Samples:
        generator = torch.Generator().manual_seed(SEED)
        images = torch.randn(count, *self.shape, generator=generator)
        return Samples(images, torch.randint(self.network.classes, (count,), generator=generator))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON only")
    parser.add_argument("--network", nargs="+", choices=[*PRUNABLE], default=[*PRUNABLE])
    parser.add_argument("--criterion", nargs="+", choices=[*CRITERIA], default=[*CRITERIA])
    options = parser.parse_args()
    torch.set_num_threads(1)
    say = functools.partial(print, file=sys.stderr if options.json else sys.stdout, flush=True)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        networks = {name: measure(name, options.criterion, Path(folder), say) for name in options.network}
    broken = [f"{name}: {what}" for name, found in networks.items() for what in found["broken"]]
    say(f"broken: {'; '.join(broken)}" if broken else "all promises hold")
    if options.json:
        result = {"rate": RATE, "seconds": time.perf_counter() - began, "networks": networks, "broken": broken}
        print(json.dumps(result, indent=2))
    sys.exit(int(bool(broken)))


def measure(name: str, criteria: list[str], folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Return all rows of one network, and which promises they break."""
    began, setting = time.perf_counter(), setting_of(name, folder)
    rows: list[dict[str, Any]] = []
    refused: dict[str, str] = {}
    say(f"\n{name}, {setting.network.side} px; parameters at rate {PEER_RATE} from {setting.peer}\n{HEADER}")
    for spec in specs(criteria):
        try:
            check_fits(spec.criterion, setting.model)
        except ConfigError as error:
            refused[f"{spec.criterion} {spec.structure}"] = str(error)
            say(f"{spec.criterion:<14}{spec.structure:<13}refused: {error}")
            continue
        rows.append(row(setting, spec))
        say(line(rows[-1]))
    moved = attempt(lambda: dead(setting))
    broken = [f"{r['criterion']} {r['structure']} {what}" for r in rows for what in r["broken"]]
    broken += ["dead channels"] if "error" in moved or moved["moved"] > DEAD * moved["scale"] else []
    found: dict[str, Any] = {"rows": rows, "refused": refused, "dead": moved, "peer": setting.peer, "broken": broken}
    found |= {"seconds": time.perf_counter() - began}
    say(summary(name, found))
    return found


def setting_of(name: str, folder: Path) -> Setting:
    network = PRUNABLE[name]
    torch.manual_seed(SEED)
    model = randomized(network.make())
    setting = Setting(name, network, model, folder, *peer_params(name, model, network.side, PEER_RATE), {})
    export(model, setting.baseline, setting.shape)
    return setting


def specs(criteria: list[str]) -> Iterator[PruneStep]:
    """Yield every pair that the product takes for valid."""
    for structure, scope in SCOPES.items():
        for criterion in criteria:
            spec = PruneStep(criterion, structure, scope, RATE)  # type: ignore[arg-type]
            try:
                check_step(spec)
            except ConfigError:
                continue
            yield spec


def row(setting: Setting, spec: PruneStep) -> dict[str, Any]:
    """Prune, export and compare, and say which promises are broken."""
    began = time.perf_counter()
    found: dict[str, Any] = {"criterion": spec.criterion, "structure": spec.structure}
    found |= attempt(lambda: compare(setting, spec))
    broken = ["run"] if "error" in found else [promise for promise, held in promises(found).items() if not held]
    return found | {"broken": broken, "seconds": time.perf_counter() - began}


def attempt(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what the work found, or its error: an exception is a broken promise like any other."""
    try:
        return work()
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def compare(setting: Setting, spec: PruneStep) -> dict[str, Any]:
    """Return what each party counts of one pruned network."""
    few = setting.network.few if spec.criterion.startswith("senpis") else IMAGES
    samples = setting.samples(few) if CRITERIA[spec.criterion].needs_images else None
    ranking = rank(setting.model, spec, setting.example, SEED, samples)
    baseline = uncompressed(setting.model)
    pruned = prune(baseline, spec, setting.example, SEED, ranking=ranking)
    twin, path = pruned.model, setting.folder / "variant.onnx"
    found: dict[str, Any] = {
        "images": few if samples else 0,
        "rate": pruned.effective_rate,
        "notes": [note.id for note in pruned.notes],
    }
    found |= logits(twin, setting.samples(IMAGES).images)
    export(twin, path, setting.shape)
    found |= {"parity": parity(twin, path, setting), "macs": macs(twin, path, setting.shape)}
    found |= {"params": params(twin, setting.example), "bytes": [setting.baseline.stat().st_size, path.stat().st_size]}
    if spec.structure == "filters":
        half = prune(
            uncompressed(setting.model), attrs.evolve(spec, rate=PEER_RATE), setting.example, SEED, ranking=ranking
        )
        found["params_half"] = [params(half.model, setting.example)[0], setting.peer_params]
    return found | {"latency": ratio(setting, spec.structure, twin, path)}


def promises(found: dict[str, Any]) -> dict[str, bool]:
    """Return which promises a row keeps."""
    before, after = found["bytes"]
    removes = found["structure"] == "filters"
    return {
        "forward": found["finite"],
        "rate": found["structure"] == "2:4" or abs(found["rate"] - RATE) <= RATE_SLACK,
        "parity": found["parity"] <= PARITY,
        "macs": len(set(found["macs"])) == 1,
        "params": len(set(found["params"])) == 1,
        "params of the peer": len(set(found.get("params_half", [0]))) == 1,
        "bytes": after < before if removes else after == before,
    }


@torch.no_grad()
def logits(model: nn.Module, images: Tensor) -> dict[str, Any]:
    out = model(images)
    return {"finite": bool(out.isfinite().all()), "largest_logit": float(out.abs().max())}


@torch.no_grad()
def parity(twin: nn.Module, path: Path, setting: Setting) -> float:
    """Return the largest difference between the file's logits and its twin's."""
    images = setting.samples(IMAGES).images
    return float(abs(session.open_classifier(path).run(images.numpy()) - twin(images).numpy()).max())


def macs(twin: nn.Module, path: Path, shape: tuple[int, int, int]) -> list[int]:
    """Return multiply-adds of one image: ours on the file, by hand on the twin, torch's on the twin."""
    return [graph.count(path, shape).macs, hand_count(twin, torch.zeros(1, *shape)), torch_macs(twin, shape)]


def ratio(setting: Setting, structure: str, twin: nn.Module, path: Path) -> dict[str, float | None]:
    """Return the file's latency over the baseline's with its interval, measured once for a structure's equal shapes."""
    key = (structure, *(tuple(value.shape) for value in twin.parameters()))
    if key not in setting.ratios:
        files = {"baseline": setting.baseline, "variant": path}
        openers = {name: functools.partial(session.open_classifier, file) for name, file in files.items()}
        taken = sampler.sample(
            openers, setting.samples(IMAGES).images.numpy(), sampler.Sampling(LATENCY_BUDGET_S, SEED)
        )
        found = next(r for r in timings.readings(taken) if r.metric == "latency.ratio")
        setting.ratios[key] = {"value": found.value, "low": found.low, "high": found.high}
    return setting.ratios[key]


def dead(setting: Setting) -> dict[str, float]:
    return dead_channels(setting.model, setting.example, setting.samples(IMAGES).images, RATE, SEED)


HEADER = (
    f"{'criterion':<14}{'structure':<13}{'images':>6} {'rate':>6} {'|d logit|':>9} {'MACs (file, hand, torch)':>26} "
    f"{'params (ours, peer)':>21} {'params at 0.5':>15} {'bytes':>6} {'latency (95 %)':>19} {'s':>6}"
)


def line(found: dict[str, Any]) -> str:
    start = f"{found['criterion']:<14}{found['structure']:<13}"
    if "error" in found:
        return f"{start}BROKEN: {found['error']}"
    half = agreed(found["params_half"]) if "params_half" in found else ""
    before, after = found["bytes"]
    broken = f"  BROKEN: {', '.join(found['broken'])}" if found["broken"] else ""
    return (
        f"{start}{found['images']:>6} {found['rate']:>6.3f} {found['parity']:>9.1e} {agreed(found['macs']):>26} "
        f"{agreed(found['params']):>21} {half:>15} {after / before:>6.3f} {interval(found['latency']):>19} "
        f"{found['seconds']:>6.1f}{broken}"
    )


def agreed(counts: list[int]) -> str:
    """Return one figure where all are the same, else all of them."""
    return " ".join(f"{figure:,}" for figure in dict.fromkeys(counts))


def interval(found: dict[str, float | None]) -> str:
    value, low, high = ("?" if number is None else f"{number:.3f}" for number in found.values())
    return f"{value} {low}..{high}"


def summary(name: str, found: dict[str, Any]) -> str:
    rows, dead = found["rows"], found["dead"]
    worst = max((row["parity"] for row in rows if "parity" in row), default=float("nan"))
    moved = dead.get("error") or f"move logits of {dead['scale']:.0f} by {dead['moved']:.1e}"
    return (
        f"{name}: {len(rows)} pairs, {len(found['refused'])} refused; worst |d logit| {worst:.1e}; dead channels: "
        f"{moved}; {len(found['broken'])} broken; {found['seconds']:.0f} s"
    )


if __name__ == "__main__":
    main()
