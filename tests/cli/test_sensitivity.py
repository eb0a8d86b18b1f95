"""`edgecheck sensitivity` from the configuration to its page."""

import copy
import json
from importlib import resources

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from edgecheck.cli import main
from edgecheck.config.plan import Preprocessing
from edgecheck.images import load_npz, preprocess
from edgecheck.models.digits_cnn import digits_cnn
from edgecheck.records import Sensitivity, by_drift, from_dict
from tests.cli.test_recipes import text_of as recipes_text

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("files_in_this_process")]

LAYERS = torch.nn.Conv2d | torch.nn.Linear
OPTIONS = ["--rate", "0.25,0.5", "--quantization", "int8"]


def text_of(tiny_config):
    head = recipes_text(tiny_config).split("recipes:")[0].replace("limit: 60\n", "limit: 120\n", 1)
    return head + "quantize: {images: 32}\nmeasure: {rss: false}\n"


@pytest.fixture(scope="module")
def config(tmp_path_factory, tiny_config):
    path = tmp_path_factory.mktemp("sensitivity") / "edgecheck.yaml"
    path.write_text(text_of(tiny_config))
    return path


@pytest.fixture(scope="module")
def folder(config):
    folder = config.parent / "found"
    with pytest.raises(SystemExit) as stop:
        main(["sensitivity", str(config), *OPTIONS, "--out", str(folder), "--format", "json"])
    assert not stop.value.code
    return folder


@pytest.fixture(scope="module")
def record(folder):
    return from_dict(json.loads((folder / "sensitivity.json").read_text()), Sensitivity)


def network():
    model = digits_cnn()
    model.load_state_dict(load_file(resources.files("edgecheck.models") / "digits_cnn.safetensors"))
    return model.eval()


def inputs_of(folder):
    data = load_npz(folder / "data.npz")
    how = json.loads((folder / "data.json").read_text())["inputs"]["inputs"]["preprocessing"]
    return preprocess(data.images[:], Preprocessing(**{**how, "range": tuple(how["range"])}))


def test_every_layer_is_pruned_at_every_rate_and_quantized(record):
    layers = [name for name, module in network().named_modules() if isinstance(module, LAYERS)]
    pruned = list(dict.fromkeys(effect.layer for effect in record.pruned))
    assert set(pruned) == set(layers[:-1])  # the classifier keeps its outputs
    assert [effect.rate for effect in record.pruned] == [0.25, 0.5] * len(pruned)
    assert {effect.layer for effect in record.quantized} == set(layers)
    assert record.images == 60
    for effect in (*record.pruned, *record.quantized):
        assert effect.readings, effect.reason
        assert 0 < effect.value("sp2ps.grad-cam") <= 1
        assert effect.value("accuracy_drop_pp") is not None
    sizes = {(effect.layer, effect.rate): effect.value("size.bytes") for effect in record.pruned}
    assert all(sizes[layer, 0.5] < sizes[layer, 0.25] for layer in pruned)


def test_the_file_of_a_layer_computes_what_the_network_does_whose_filters_are_silenced_by_hand(folder, record):
    """Independent of the pruning: the filters of the layer that score lowest give nothing, in the whole network."""
    import onnxruntime

    model = network()
    convolutions = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Conv2d)}
    effect = next(one for one in record.pruned if one.rate == 0.5 and one.layer in convolutions)
    silenced = copy.deepcopy(model)
    layer = silenced.get_submodule(effect.layer)
    gone = layer.weight.detach().abs().sum((1, 2, 3)).argsort()[: len(layer.weight) // 2]
    images = inputs_of(folder)
    with torch.no_grad():
        _silence(silenced, effect.layer, gone)
        expected = silenced(torch.from_numpy(images)).numpy()
    session = onnxruntime.InferenceSession(folder / effect.variant / "model.onnx", providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: images})[0]
    assert np.abs(found - expected).max() < 1e-3
    accuracy = (expected.argmax(1) == load_npz(folder / "data.npz").labels).mean()
    assert effect.value("accuracy") == pytest.approx(accuracy)


def _silence(model, name, gone):
    """Zero the weights that read these filters: those of the next convolution or linear layer."""
    layers = [module for module in model.modules() if isinstance(module, LAYERS)]
    place = layers.index(model.get_submodule(name))
    reader, width = layers[place + 1], len(layers[place].weight)
    per_filter = reader.weight.shape[1] // width
    columns = torch.cat([torch.arange(per_filter) + per_filter * int(filter) for filter in gone])
    reader.weight[:, columns] = 0


def test_a_layer_quantized_alone_leaves_the_others_in_float(folder, record):
    import onnx

    for effect in record.quantized:
        graph = onnx.load(folder / effect.variant / "model.onnx").graph
        rounded = [one for one in graph.initializer if one.data_type == onnx.TensorProto.INT8 and len(one.dims) > 1]
        assert [one.name.removesuffix(".weight_quantized") for one in rounded] == [effect.layer]


def test_page_and_listing_name_the_most_sensitive_layer_first(folder, record, config, edgecheck):
    most = by_drift(record.pruned)[0]
    code, out, err = edgecheck("sensitivity", config, *OPTIONS, "--out", folder)
    assert code == 0
    rows = [line for line in out.splitlines() if " % " in line]
    assert rows[0].startswith(most)
    assert "exporting" not in err  # a second scan makes nothing again
    assert "quantized alone" in out
    html = (folder / "sensitivity.html").read_text()
    assert "Pruned alone" in html
    assert "Quantized alone" in html
    assert "Drift of the grad-cam heatmaps" in html
    assert "| rate |" in (folder / "sensitivity.md").read_text()


def test_a_search_takes_over_what_the_scan_measured_of_the_baseline(folder, config, edgecheck, tmp_path):
    path = config.parent / "search.yaml"
    gate = "gate: {criteria: [accuracy_drop_pp <= 5]}\nsearch: {rate: 0.5, recipe: none, quantization: none}\n"
    path.write_text(config.read_text().replace("rss: false", "rss: false, latency_budget_s: 0") + gate)
    _, _, err = edgecheck("search", path, "--out", tmp_path / "out", "--reuse", folder)
    before = json.loads((folder / "baseline" / "predict.json").read_text())
    after = json.loads((tmp_path / "out" / "search" / "baseline" / "predict.json").read_text())
    assert before == after, err


def test_single_weights(config, edgecheck, tmp_path):
    options = ["--structure", "unstructured", "--rate", "0.9", "--format", "json"]
    code, out, _ = edgecheck("sensitivity", config, *options, "--out", tmp_path / "out")
    assert code == 0
    found = from_dict(json.loads(out), Sensitivity)
    assert found.quantized == []
    assert all(
        effect.value("size.bytes") == pytest.approx(found.baseline[0].value, rel=0.01) for effect in found.pruned
    )


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--rate", "0"], "a pruning rate lies between 0 and 1, not 0"),
        (["--rate", "0.5,1"], "a pruning rate lies between 0 and 1, not 1"),
        (["--rate", "much"], "is not a list of numbers"),
        (["--structure", "2:4"], "structure 2:4 takes no rates of single layers; unstructured, filters do"),
        (["--structure", "filter"], "did you mean 'filters'?"),
        (["--criterion", "l3"], "unknown criterion 'l3'"),
        (["--criterion", "fpgm", "--structure", "unstructured"], "criterion fpgm cannot rank single weights"),
        (["--quantization", "int4"], "unknown quantization 'int4'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(config, refused, tmp_path, options, problem):
    assert problem in refused("sensitivity", config, *options, "--out", tmp_path / "out")
    assert not (tmp_path / "out" / "baseline" / "model.onnx").exists()


ONLY_A_HEAD = """
import torch
from torch import nn

def build():
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 10))
"""


def test_a_network_without_a_prunable_layer_is_refused(config, factory_file, refused, tmp_path):
    head = config.read_text().split("data:")[1]
    path = tmp_path / "edgecheck.yaml"
    head = head.replace("  methods: [", "  methods: [] #")
    path.write_text(f"model: {{factory: '{factory_file(ONLY_A_HEAD)}:build'}}\ndata:{head}")
    said = refused("sensitivity", path, "--out", tmp_path / "out")
    assert "no filters of Sequential can be removed; use the structure unstructured" in said


@pytest.mark.parametrize(
    ("rates", "problem"),
    [("{conv: 0.5}", "no layer 'conv' can be pruned"), ("{}", "a variant needs criterion, structure and rate")],
)
def test_an_unknown_layer_in_a_configuration_lists_the_right_ones(config, refused, tmp_path, rates, problem):
    path = tmp_path / "edgecheck.yaml"
    path.write_text(config.read_text() + f"variants: [{{criterion: l1, structure: filters, rates: {rates}}}]\n")
    assert problem in refused("run", path, "--out", tmp_path / "out")


def test_rates_without_scope_layer_are_refused(config, refused, tmp_path):
    path = tmp_path / "edgecheck.yaml"
    path.write_text(
        config.read_text() + "variants: [{criterion: l1, structure: unstructured, rates: {features.0: 0.5}}]\n"
    )
    assert "rates of single layers need scope layer, not global" in refused("run", path, "--out", tmp_path / "out")


def test_too_few_images_for_a_half_are_refused(config, refused, tmp_path):
    path = tmp_path / "edgecheck.yaml"
    path.write_text(config.read_text().replace("limit: 120\n", "limit: 19\n", 1))
    assert "at least 20 test images" in refused("sensitivity", path, "--out", tmp_path / "out")
