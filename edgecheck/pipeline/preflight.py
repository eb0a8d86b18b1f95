"""What is refused before any work is done: the cheapest checks first, so that nobody waits for a line about a typo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgecheck import versions
from edgecheck.config.plan import ModelSpec, Plan
from edgecheck.config.reader import is_file_factory
from edgecheck.errors import ConfigError, DataError, ModelError
from edgecheck.pipeline import making, pruning
from edgecheck.pipeline.entry import Entry, Run, Twin
from edgecheck.pipeline.fingerprints import noting_reads
from edgecheck.progress import Progress
from edgecheck.registry import lookup
from edgecheck.score.ssim import check_size
from edgecheck.store import Store


def begin(plan: Plan, store: Store, progress: Progress) -> tuple[Run, Entry]:
    """Return a run and its baseline, exported, once all is refused that can be before anything is trained.

    Raises:
        EdgecheckError: as the checks below; and a network that does not take the images, or has no such target layer.
    """
    variants(plan)
    twin = making.baseline_twin(plan, store)
    pruning.check_fits(plan, twin)
    job = Run(plan, store, progress, *making.data(plan, store, progress))
    if plan.explain.methods:
        check_size(*job.data.shape[1:])
    fits(job, twin)
    return job, making.baseline(job, twin)


def files(plan: Plan, spec: ModelSpec) -> None:
    """Refuse a plan whose weights, factory or images are not there; the files are not opened.

    Raises:
        DataError: no `data.root`.
        ModelError: no file of the weights or the factory.
    """
    if spec.weights is not None and not spec.weights.is_file():
        raise ModelError(f"{spec.weights}: no such file; model.weights is a .safetensors or a state_dict .pt")
    if is_file_factory(spec.factory) and not (file := Path(spec.factory.rpartition(":")[0])).is_file():
        raise ModelError(f"{file}: no such file; model.factory is FILE.py:FUNCTION")
    images_there(plan)


def images_there(plan: Plan) -> None:
    """Refuse a data set whose file or folder is not there.

    Raises:
        DataError: as said.
    """
    spec = plan.data
    if spec.root is not None and not spec.download and not spec.root.exists():
        raise DataError(f"data.root: {spec.root}: no such file or folder")


def chosen(indices: Sequence[int], images: int | None) -> None:
    """Refuse places in the test split beyond the images that it has, or that `data.limit` keeps; None: not known yet.

    Raises:
        DataError: as said.
    """
    if indices and images is not None and max(indices) >= images:
        raise DataError(f"image {max(indices)} is asked for, but the test split has {images}, counted from 0")


def onnx_file(path: Path) -> None:
    """Refuse an ONNX file that is not there.

    Raises:
        ModelError: as said.
    """
    if not path.is_file():
        raise ModelError(f"{path}: {'a folder; give the .onnx file in it' if path.is_dir() else 'no such file'}")


def variants(plan: Plan) -> None:
    """Refuse variants that cannot be made, by what the configuration says alone; and what `files` refuses.

    Raises:
        ConfigError: unknown criteria, structures or quantizations, no variants, more images than there are, an opset
            that PyTorch cannot write.
        DataError: images too small for SSIM.
        DependencyError: packages or a device that are not there.
        ModelError: as `files`.
    """
    files(plan, making.need_weights(plan))
    if not plan.variants:
        raise ConfigError(f"{plan.source}: variants: none are named, so there is nothing to judge")
    if plan.explain.methods and plan.preprocessing.size:
        check_size(*plan.preprocessing.size)
    making.need_lab()
    from edgecheck.lab.compute import choose
    from edgecheck.lab.prune import check_spec
    from edgecheck.lab.quantize import QUANTIZERS

    choose(plan.compute)
    for spec in plan.variants:
        if spec.criterion:
            check_spec(spec)
        if spec.quantization:
            lookup(QUANTIZERS, spec.quantization, "quantization")
    opset(plan)
    if plan.data.train_limit is not None:
        making.check_counts(plan, plan.data.train_limit)


def opset(plan: Plan) -> None:
    """Refuse an opset that PyTorch cannot write.

    Raises:
        ConfigError: as said.
    """
    from edgecheck.lab.export import OPSETS

    if plan.opset not in OPSETS:
        raise ConfigError(f"{plan.source}: export.opset {plan.opset}: PyTorch writes {OPSETS[0]} to {OPSETS[-1]} only")


def fits(job: Run, twin: Twin) -> None:
    """Refuse a twin that does not take the images or has no such target layer, before anything is exported or trained.

    Raises:
        ModelError: as said.
    """
    layer, shape = job.plan.explain.target_layer if job.plan.explain.methods else None, job.data.shape

    def find() -> str:
        making.need_lab()
        import torch

        from edgecheck.lab.cam.preserved import as_found
        from edgecheck.lab.cam.split import probe_of, split
        from edgecheck.lab.subjects import check_fits

        network = twin.build()
        with noting_reads(twin.description, job.store, twin.folder):
            check_fits(network, job.data)
        if layer is None:
            return ""
        with as_found(network):
            return split(network, probe_of(torch.zeros(1, *shape)), layer).name

    inputs = {"twin": twin.identity, "layer": layer, "data": job.data_sha256}
    job.store.stage(twin.folder, "target", inputs, find, tools=versions.TWINS)
