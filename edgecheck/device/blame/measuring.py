"""Measures the error of each layer on images: alone with float inputs, and in the file with all that lies before it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs
import numpy as np
import onnx
from attrs import frozen
from numpy.typing import NDArray

from edgecheck.config.plan import Preprocessing
from edgecheck.device.blame.places import OpenFile, Place, between
from edgecheck.device.blame.powers import Power
from edgecheck.device.explain.scales import Scale
from edgecheck.device.explain.wiring import Wiring, body, submodel
from edgecheck.device.runtime import ort
from edgecheck.images import ImageSet, preprocess
from edgecheck.progress import Progress

Tensors = dict[str, NDArray[np.float32]]

# Of the tensors that are held at once, those of both files. More images a run are no faster.
HELD_BYTES = 64 << 20
MOST_IMAGES = 64
FLOAT32_BYTES = 4
EXACT_INTEGERS = "extended"  # the lowest level of graph optimization at which `ort.Options.exact_sums` has an effect


@frozen(eq=False)
class LayerError:
    """What quantization does to a layer.

    Attributes:
        place: the layer in both files.
        local: the error of this layer alone: float inputs, rounded by its own quantizers.
        accumulated: the error of the candidate's tensor, with all errors before it.
    """

    place: Place
    local: Power
    accumulated: Power

    @property
    def layer(self) -> str:
        """The layer as the weight of the float file calls it."""
        return self.place.pair.baseline.title

    @property
    def node(self) -> str:
        """The name by which a quantizer is told to leave its node out; "" where it has none."""
        return self.place.pair.candidate.name

    @property
    def operator(self) -> str:
        """The operator of the candidate."""
        return self.place.pair.candidate.node.op_type


def measure(
    files: tuple[OpenFile, OpenFile], places: Sequence[Place], data: ImageSet, how: Preprocessing, progress: Progress
) -> list[LayerError]:
    """Return the errors of layers on images, the worst local error first.

    Args:
        files: baseline and candidate.
        places: their layers.
        data: the images.
        how: their preprocessing.
        progress: told of every batch.

    Raises:
        ModelError: ONNX Runtime cannot run a layer of the candidate alone.
        MeasurementError: a run failed.
    """
    baseline, candidate = files
    alone = [Alone(candidate, place) for place in places]
    exact = Tapped(baseline, {name: None for p in places for name in (p.baseline.reads, p.baseline.gives)})
    real = Tapped(candidate, {place.candidate.gives: place.candidate.gives_scale for place in places})
    local, accumulated = ([Power() for _ in places] for _ in range(2))
    step = _step(files, places)
    batches = progress.track(range(0, len(data), step), "comparing layers", len(data), lambda _: step)
    for start in batches:
        pixels = preprocess(data.images[start : start + step], how)
        expected, found = exact.run(pixels), real.run(pixels)
        for number, (place, part) in enumerate(zip(places, alone, strict=True)):
            wanted = expected[place.baseline.gives]
            rounded = place.activated(part.run(expected[place.baseline.reads]))
            local[number] = local[number].plus(wanted, rounded)
            given = place.activated(found[place.candidate.gives])
            accumulated[number] = accumulated[number].plus(wanted, given)
    errors = map(LayerError, places, local, accumulated)
    return sorted(errors, key=lambda error: -error.local.ratio)


def _step(files: Iterable[OpenFile], places: Sequence[Place]) -> int:
    """Return how many images to run at once."""
    sides = ({n for p in places for n in (p.baseline.reads, p.baseline.gives)}, {p.candidate.gives for p in places})
    known = [(file.wiring.graph.tensors, names) for file, names in zip(files, sides, strict=True)]
    numbers = sum(tensors[name].elements for tensors, names in known for name in names if name in tensors)
    return max(1, min(HELD_BYTES // (FLOAT32_BYTES * numbers + 1), MOST_IMAGES))


class Tapped:
    """A file that also gives some of its tensors, with the scale of those that are integers."""

    def __init__(self, file: OpenFile, scales: dict[str, Scale | None]) -> None:
        self.file, self.scales = file, scales
        self.inputs = {value.name for value in file.wiring.graph.model.graph.input}
        model = body(file.wiring.graph, [name for name in scales if name not in self.inputs])
        self.session = ort.start(file.path, file.classifier.options, model.SerializeToString())

    def run(self, pixels: NDArray[np.float32]) -> Tensors:
        """Return the real values of the tensors on images `(N, C, H, W)`.

        Raises:
            MeasurementError: the run failed.
        """
        step = self.file.classifier.batch or len(pixels)
        chunks = [self._run(pixels[start : start + step]) for start in range(0, len(pixels), step)]
        return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in self.scales}

    def _run(self, pixels: NDArray[np.float32]) -> Tensors:
        feed = self.file.classifier.feed(pixels)
        names = [name for name in self.scales if name not in self.inputs]
        values = feed | dict(zip(names, ort.run(self.file.path, self.session, names, feed), strict=True))
        batch = len(next(iter(feed.values())))
        return {
            name: real(values[name], scale)[: len(pixels) if len(values[name]) == batch else None]
            for name, scale in self.scales.items()
        }


class Alone:
    """A layer of a quantized file in a session of its own, fed with real numbers.

    Its sums are exact on every CPU: float operators between quantizers are not turned into integer ones, and integer
    ones do not saturate.
    """

    def __init__(self, file: OpenFile, place: Place) -> None:
        self.path, self.scale, self.gives = file.path, place.candidate.gives_scale, place.candidate.gives
        model = _part(file.wiring, place)
        level = EXACT_INTEGERS if any(node.op_type.startswith("QLinear") for node in model.graph.node) else "disabled"
        options = attrs.evolve(file.classifier.options, graph_optimization=level, exact_sums=True)
        self.session = ort.start(file.path, options, model.SerializeToString())
        self.input = model.graph.input[0].name

    def run(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the layer gives for real inputs, as real numbers.

        Raises:
            MeasurementError: the run failed.
        """
        return real(ort.run(self.path, self.session, [self.gives], {self.input: inputs})[0], self.scale)


def _part(wiring: Wiring, place: Place) -> onnx.ModelProto:
    """Return the nodes of a layer as a model with a float input, rounded first where the file takes other numbers."""
    side = place.candidate
    nodes, stored = between(wiring, side.reads, side.gives), list[onnx.TensorProto]()
    name, known = f"{side.reads}:real", wiring.graph.tensors.get(side.reads)
    if side.reads_scale is not None:
        stored = _stored(side.reads, side.reads_scale, known.dtype if known else "uint8")
        first = onnx.helper.make_node("QuantizeLinear", [name, *(tensor.name for tensor in stored)], [side.reads])
    elif known is not None and known.is_float:
        first = onnx.helper.make_node("Cast", [name], [side.reads], to=getattr(onnx.TensorProto, known.type))
    else:
        first = onnx.helper.make_node("Identity", [name], [side.reads])
    value = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
    model = submodel(wiring.graph, [first, *nodes], [value], [side.gives])
    model.graph.initializer.extend(stored)
    return model


def _stored(name: str, scale: Scale, dtype: str) -> list[onnx.TensorProto]:
    return [
        onnx.numpy_helper.from_array(np.array(scale.scale, np.float32), f"{name}:scale"),
        onnx.numpy_helper.from_array(np.array(scale.zero_point, dtype), f"{name}:zero"),
    ]


def real(values: np.ndarray, scale: Scale | None) -> NDArray[np.float32]:
    """Return what a tensor stands for."""
    return scale.real(values) if scale else values.astype(np.float32)
