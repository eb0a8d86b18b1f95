"""A whole run with one thing changed: exactly the stages that depend on it run again.

Plan, lines, schedule, store and all stage records are the real ones; only what the stages compute is replaced, see
`fakes`. What depends on what is read off the stages of the first run, locators included: whoever was given a path, a
hash or a value that another stage gave depends on that one, whatever the keys say.
"""

import shutil
from importlib import resources
from pathlib import Path

import attrs
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from edgecheck.config import reader
from edgecheck.pipeline import assembling, reporting
from edgecheck.pipeline.run import run
from edgecheck.pipeline.stage import key_of
from edgecheck.pipeline.stages.energy import MeasureEnergy
from edgecheck.pipeline.stages.groups import FindGroups
from edgecheck.pipeline.stages.layers import FindLayers
from edgecheck.pipeline.stages.placement import Place
from edgecheck.pipeline.store import Store
from edgecheck.progress import Silent
from tests.pipeline.fakes import Fakes, number
from tests.pipeline.fields import all_stages, changed, leaves
from tests.pipeline.toys import Clip, Slim

TEXT = f"""
model: {{factory: 'edgecheck:digits_cnn', weights: {resources.files("edgecheck.models") / "digits_cnn.safetensors"}}}
data: {{dataset: digits, limit: 60}}
explain: {{methods: [grad-cam, layer-cam], pictures: 1}}
corruption: [gaussian-noise, jpeg-5]
recipes: {{again: {{epochs: 0, recalibrate_batchnorm: 32}}}}
variants:
  - {{criterion: l1, structure: filters, rate: 0.5, steps: 2, quantization: [none, int8]}}
  - {{criterion: taylor, structure: unstructured, rate: 0.25}}
  - {{criterion: taylor, structure: unstructured, rate: 0.25, recipe: [preserve, again]}}
measure: {{latency_budget_s: 1}}
gate: {{criteria: [latency.ratio <= 0.9, accuracy_drop_pp <= 1]}}
"""
# No part of `run`, and nothing there depends on them: `device run` and `sensitivity` ask for them.
OF_OTHERS = {Place, MeasureEnergy, FindGroups, FindLayers}
PARTS = ("files", "outputs")  # of what a stage gives
TWICE, INT8, TAYLOR = "l1-filters-0.50-2steps", "l1-filters-0.50-2steps-int8", "taylor-unstructured-0.25"


class Altered(Store):
    """A store in which one stage has another input from the start: whatever is asked for it, that is asked instead."""

    def __init__(self, folder, name=None, alter=None):
        super().__init__(folder)
        self._name, self._alter, self._asked = name, alter, {}

    def identify(self, variant, stage):
        if (variant, stage.name) != self._name:
            return super().identify(variant, stage)
        work = super().identify(variant, self._alter(stage))
        self._asked[work.key] = stage
        return work

    def find(self, work):
        return self._by_the_names_asked_for(work, super().find(work))

    def keep(self, work, outputs, seconds):
        return self._by_the_names_asked_for(work, super().keep(work, outputs, seconds))

    def _by_the_names_asked_for(self, work, done):
        """Return what a stage gave under the names of files that the line knows: place and kind are in some of them."""
        if done is None or work.key not in self._asked:
            return done
        return attrs.evolve(done, files=dict(zip(self._asked[work.key].files, done.files.values(), strict=True)))


def plan_of(overrides=None, text=TEXT, path=Path("edgecheck.yaml")):
    """Return the plan with a variant more, by steps that no row of a configuration without plugins can name."""
    plan = reader.parse(text, path, overrides or {})
    taylor = next((spec for spec in plan.variants if spec.name == TAYLOR), None)
    if taylor is None:
        return plan
    others = attrs.evolve(taylor, name="others-slim", network="others", steps=(Clip(), Slim()))
    return attrs.evolve(plan, variants=[*plan.variants, others])


def carry_out(plan, store, same=None):
    """Return the stages that were computed, by variant and name."""
    fakes = Fakes(same)
    run(plan, store, Silent(), fakes)
    return fakes.computed


@pytest.fixture(scope="module", autouse=True)
def _no_reports():
    """No stage makes them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assembling, "assemble", lambda *_: None)
        patch.setattr(reporting, "write", lambda *_: None)
        yield


class Finished:
    """A finished run: its folder, and its stages by variant and name."""

    def __init__(self, place):
        self.folder, self._copy = place / "run", place / "again"
        self.stages = carry_out(plan_of(), Store(self.folder))
        self.names = list(self.stages)
        said = {name: repr(stage) for name, stage in self.stages.items()}
        self._users = {
            (name, part): {user for user in said if any(one in said[user] for one in gave)}
            for name in said
            for part, gave in self._gave(name).items()
        }

    def _gave(self, name):
        """Return what is said in a stage that got something from this one: paths and hashes, or values."""
        stage, store = self.stages[name], Store(self.folder)
        done = store.find(store.identify(name[0], stage))
        files = [said for file in done.files.values() for said in (repr(file.path), file.sha256)]
        return {"files": files, "outputs": [key_of(stage), str(number(key_of(stage)))]}

    def users(self, names, parts=PARTS):
        """Return all stages that depend on some, at any distance; on the first of them through some parts alone."""
        reached = set().union(*(self._users[name, part] for name in names for part in parts))
        front = reached
        while front:
            front = set().union(*(self._users[name, part] for name in front for part in PARTS)) - reached
            reached |= front
        return reached

    def _restore(self):
        """Make the copy equal to the run by what differs: to copy everything would be most of the time."""
        if not self._copy.exists():
            shutil.copytree(self.folder, self._copy)
            return
        wanted, there = (
            {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}
            for folder in (self.folder, self._copy)
        )
        for file in there.keys() - wanted.keys():
            (self._copy / file).unlink()
        for file in wanted:
            if there.get(file) != wanted[file]:
                shutil.copy2(self.folder / file, self._copy / file)
        for folder in self._copy.iterdir():
            if folder.is_dir() and not (self.folder / folder.name).exists():
                shutil.rmtree(folder)

    def again(self, plan, name=None, alter=None, same=None):
        """Carry out a plan, or this one with a stage altered, in a copy; return the names of what was computed."""
        self._restore()
        return set(carry_out(plan, Altered(self._copy, name, alter), same))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return Finished(tmp_path_factory.mktemp("dependencies"))


def test_the_run_has_every_stage_and_a_second_one_computes_nothing(finished):
    assert {type(stage) for stage in finished.stages.values()} == set(all_stages()) - OF_OTHERS
    assert finished.again(plan_of()) == set()


def test_what_depends_on_what(finished):
    """What the properties rest on, by examples that were thought through."""
    of_export = finished.users([(TWICE, "export")])
    assert {name for variant, name in of_export if variant == TWICE} == {
        *("trial", "predict", "count", "saturation", "profile", "locate", "explain-artefact"),
        *("predict-gaussian-noise-3", "predict-jpeg-5"),
    }
    assert (INT8, "quantize-0") in of_export
    assert {variant for variant, _ in of_export} == {TWICE, INT8, ""}
    of_maps = {name for _, name in finished.users([("baseline", "explain")])}
    assert of_maps == {"explain", "similarity", "pictures", "chance", "anchors"}
    assert {name for _, name in finished.users([("baseline", "chance"), ("baseline", "anchors")])} == set()
    assert finished.users([("", "latency")]) == set()
    assert {name for _, name in finished.users([("", "corrupt-jpeg-5")])} == {"predict-jpeg-5"}
    of_ranking = finished.users([(TWICE, "rank-l1-filters")])
    assert {(TWICE, "prune-2"), (TWICE, "finetune-3"), (INT8, "quantize-0")} <= of_ranking
    assert not of_ranking & {(TWICE, "prune-0"), (TWICE, "finetune-1")}


@pytest.mark.parametrize("kind", sorted({kind.kind for kind in set(all_stages()) - OF_OTHERS}))
@settings(max_examples=4, phases=[Phase.generate], derandomize=True)  # an example is as small as it gets
@given(data=st.data())
def test_another_input_of_a_stage_runs_it_again_and_what_depends_on_what_came_out_otherwise(finished, kind, data):
    name = data.draw(st.sampled_from([name for name in finished.names if finished.stages[name].kind == kind]))
    stage = finished.stages[name]
    # The place names the stage, and the last step names its file as the variant does: each would be another stage's.
    named = [leaf for leaf in leaves(stage) if leaf[0][-1] not in ("place", "last")]
    path, hidden = data.draw(st.sampled_from(named))
    salt = data.draw(st.integers(1000, 2000))  # no place among the steps that another step has
    parts = data.draw(st.sampled_from([PARTS, ("files",), ("outputs",), ()]), label="come out otherwise")
    called = name[0], changed(stage, path, salt).name
    same = {(called, part): stage for part in PARTS if part not in parts}

    computed = finished.again(plan_of(), name, lambda asked: changed(asked, path, salt), same)

    assert computed == (set() if hidden else {called} | finished.users([name], parts))


NETWORKS = {"make", "target", "rank", "prune", "finetune", "recalibrate", "change", "export", "locate", "=explain"}
PREPROCESSED = {"data", "anchors", "finetune", "predict", "saturation", "explain", "latency", "locate"}
ON_FILES = {"locate", "=explain-artefact", "=explain-fidelity"}
FILES_RUN = {"trial", "anchors", "predict", "saturation", "suspect", "profile", "latency", *ON_FILES}
ON_IMAGES = {("baseline", "rank-taylor-weights"), (INT8, "quantize-0"), "recalibrate"}
KEPT = {(name, step) for name, step in (("control-preserve", "finetune-0"), (f"{TAYLOR}-preserve", "finetune-1"))}
PLAIN = {("control", "finetune-0"), (TWICE, "finetune-1"), (TWICE, "finetune-3"), (TAYLOR, "finetune-1")}
PLAIN |= {("others-slim", "finetune-1")}
LAST = {*PLAIN, *KEPT} - {(TWICE, "finetune-1")}
# A setting with another value, and the stages that read it: kinds, `=NAME`, or variant and name.
SETTINGS = [
    ({"seed": 1}, {*NETWORKS, "corrupt", "similarity", "chance", "anchors", "latency", (INT8, "quantize-0")}),
    ({"data": {"limit": 50}}, {"data", "finetune", *ON_IMAGES}),
    ({"data": {"train_limit": 200}}, {"data", "finetune", *ON_IMAGES}),
    ({"preprocessing": {"mean": [0.4]}}, {*PREPROCESSED, *ON_IMAGES}),
    ({"preprocessing": {"std": [0.3]}}, {*PREPROCESSED, *ON_IMAGES}),
    ({"preprocessing": {"range": [-1, 1]}}, {*PREPROCESSED, *ON_IMAGES}),
    ({"preprocessing": {"size": [16, 16]}}, {*PREPROCESSED, *ON_IMAGES}),
    ({"explain": {"methods": ["grad-cam"]}}, {"explain", "similarity", "chance", "anchors"}),
    ({"explain": {"target_layer": "features.conv1"}}, {"target", "locate", "=explain", *KEPT}),
    ({"explain": {"class_explained": "label"}}, {"explain", "anchors"}),
    ({"explain": {"pictures": 2}}, {"pictures"}),
    ({"explain": {"sam": "rgb"}}, {"similarity", "chance", "anchors"}),
    ({"compute": {"device": "cpu"}}, {"rank", "finetune", "recalibrate", "locate", "=explain"}),
    ({"compute": {"processes": 2}}, {"finetune"}),
    ({"compute": {"threads": 2}}, set()),
    ({"train": {"epochs": 3}}, set()),
    ({"finetune": {"epochs": 3}}, LAST),
    ({"finetune": {"epochs_between": 2}}, {(TWICE, "finetune-1")}),
    ({"finetune": {"learning_rate": 0.1}}, {"finetune"}),
    ({"finetune": {"flip": True}}, {"finetune"}),
    ({"finetune": {"distill": 0.5}}, PLAIN),
    ({"finetune": {"freeze_batchnorm_statistics": True}}, PLAIN),
    ({"finetune": {"preserve": {"weight": 2}}}, PLAIN),
    ({"recipes": {"again": {"recalibrate_batchnorm": 16}}}, {"recalibrate"}),
    ({"recipes": {"unused": {"epochs": 3}}}, set()),
    ({"prune": {"images": 16}}, {("baseline", "rank-taylor-weights")}),
    ({"quantize": {"images": 16}}, {"quantize"}),
    ({"quantize": {"per_channel": False}}, {"quantize"}),
    ({"measure": {"latency_budget_s": 2}}, {"latency"}),
    ({"measure": {"pace_hz": 10}}, {"latency"}),
    ({"measure": {"batch": 2}}, {"latency"}),
    ({"measure": {"intra_op_threads": 2}}, FILES_RUN),
    ({"measure": {"graph_optimization": "basic"}}, FILES_RUN),
    ({"measure": {"max_opset": 20}}, {"profile"}),
    ({"measure": {"max_ir": 9}}, {"profile"}),
    ({"measure": {"rss": False}}, set()),
    ({"export": {"opset": 19}}, {"export"}),
    ({"gate": {"criteria": ["latency.ratio <= 0.8", "accuracy_drop_pp <= 1"]}}, {"latency"}),
    ({"gate": {"criteria": ["latency.ratio <= 0.9", "accuracy_drop_pp <= 2"]}}, set()),
    ({"gate": {"criteria": ["latency.ratio <= 0.90 warn", "accuracy_drop_pp <= 2"]}}, set()),
    ({"gate": {"require": "any"}}, set()),
    ({"name": "another"}, set()),
]


@pytest.mark.parametrize(("setting", "readers"), SETTINGS, ids=lambda value: str(value) if type(value) is dict else "")
def test_another_setting_runs_what_reads_it_and_what_depends_on_that(finished, setting, readers):
    direct = {
        name for name in finished.names if not readers.isdisjoint((name, f"={name[1]}", finished.stages[name].kind))
    }
    assert finished.again(plan_of(setting)) == direct | finished.users(direct)


def test_another_corruption_is_measured_and_the_others_are_kept(finished):
    again = finished.again(plan_of({"corruption": ["jpeg-5", "contrast-1"]}))
    assert {name for _, name in again} == {"corrupt-contrast-1", "predict-contrast-1"}
    assert {variant for variant, _ in again} == {"", *(variant for variant, name in finished.names if name == "count")}


def test_what_a_gate_asks_for_is_measured_too(finished):
    gate = {"criteria": ["latency.ratio <= 0.9", "excess_error_pp.pixelate-2 <= control + 1"]}
    assert {name for _, name in finished.again(plan_of({"gate": gate}))} == {"corrupt-pixelate-2", "predict-pixelate-2"}


def test_another_engine_explains_again(finished):
    """No recipe may keep heatmaps then."""
    text = TEXT.replace("[preserve, again]", "[again]")
    direct = {name for name in finished.names if name[1] == "explain"}
    expected = {name for name in direct | finished.users(direct) if not name[0].endswith("-preserve")}
    again = finished.again(plan_of({"explain": {"engine": "grad-cam"}}, text))
    assert again == expected | {("", "latency"), ("baseline", "target")}


def test_nothing_runs_again_because_the_file_has_a_line_more_or_another_place(finished, tmp_path):
    assert finished.again(plan_of(text="# a comment" + TEXT, path=tmp_path / "moved.yaml")) == set()


def test_another_rate_makes_another_variant_and_times_all_again(finished):
    text = TEXT.replace("rate: 0.25", "rate: [0.25, 0.75]")
    expected = {(v.replace("0.25", "0.75"), name) for v, name in finished.names if v.startswith(TAYLOR)}
    assert finished.again(plan_of(text=text)) == {*expected, ("", "latency")}


def test_a_variant_that_is_left_out_is_not_computed(finished):
    fewer = attrs.evolve(plan_of(), variants=[spec for spec in plan_of().variants if spec.name != TAYLOR])
    assert finished.again(fewer) == {("", "latency")}


def test_a_second_variant_of_the_same_content_is_copied(finished):
    plan = plan_of()
    renamed = [attrs.evolve(s, name="twin", network="twin") if s.name == TAYLOR else s for s in plan.variants]
    assert finished.again(attrs.evolve(plan, variants=renamed)) == {("", "latency")}
