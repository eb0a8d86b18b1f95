"""The start of a run: early checks, then the baseline's twin and the test images."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from edgecheck.config.plan import Plan
from edgecheck.pipeline import preflight
from edgecheck.pipeline.entry import BASELINE, Run, Twin
from edgecheck.pipeline.fingerprints import data_source, identity, remember_reads
from edgecheck.pipeline.schedule import Line, Schedule
from edgecheck.pipeline.stages.baseline import WEIGHTS, SaveBaseline
from edgecheck.pipeline.stages.fits import CheckFit
from edgecheck.pipeline.stages.images import FILE, ReadImages
from edgecheck.pipeline.store import Store
from edgecheck.pipeline.subject import Images, Network, build_module
from edgecheck.pipeline.work import Work
from edgecheck.score.ssim import check_size
from edgecheck.steps import FineTuneStep, RecalibrateStep, Step


def begin(plan: Plan, store: Store, schedule: Schedule) -> Run:
    """Return a run that makes variants of a baseline.

    Raises:
        EdgecheckError: a check of `preflight` or of the executor fails, or the network does not accept the images or
            lacks the target layer.
    """
    preflight.variants(plan)
    schedule.check(plan)
    (twin,) = schedule.finish(schedule.start([baseline_twin(plan, store)]))
    preflight.criteria(plan, twin.network)
    run = attrs.evolve(read(plan, store, schedule), baseline=twin)
    if plan.explain.methods:
        check_size(*run.images.shape[1:])
    schedule.finish(schedule.start([fits(run, store, twin, preflight.steps(plan))]))
    return run


def read(plan: Plan, store: Store, schedule: Schedule) -> Run:
    """Return a run with its test images, without a baseline.

    Raises:
        DataError: images or labels that cannot be used.
        DependencyError: a corruption needs a package that is not installed.
    """
    preflight.corruptions(plan)
    return schedule.finish(schedule.start([_images(plan, store)]))[0]


def baseline_twin(plan: Plan, store: Store) -> Line[Twin]:
    """Build the baseline and store its weights; needs no images."""
    spec = preflight.need_weights(plan)
    known = identity(spec, store, BASELINE, lambda: build_module(spec, plan.seed))
    network = Network(known, plan.seed, spec)
    done = yield Work(BASELINE, SaveBaseline(network))
    # The weights do not identify the model: with an edited forward, the same weights are another model.
    saved = attrs.evolve(network, identity={**known, "saved": done.files[WEIGHTS].sha256})
    return Twin(saved, spec.factory, BASELINE, done.outputs.parameters)


def fits(run: Run, store: Store, twin: Twin, steps: Sequence[Step] = ()) -> Line[None]:
    """Check that a twin accepts the images, has the target layer, and can be trained as `steps` ask.

    Raises:
        ModelError: it does not.
    """
    options = run.plan.explain
    recipes = [step.recipe for step in steps if isinstance(step, FineTuneStep)]
    preserved = tuple(dict.fromkeys(recipe.preserve.method for recipe in recipes if recipe.preserve))
    layer = options.target_layer if options.methods or preserved else None
    recalibrated = any(isinstance(step, RecalibrateStep) for step in steps)
    stage = CheckFit(twin.network, run.images, bool(options.methods), layer, preserved, recalibrated)
    done = yield Work(twin.folder, stage)
    remember_reads(done.outputs.reads, store, twin.folder)


def _images(plan: Plan, store: Store) -> Line[Run]:
    source = data_source(plan.data, store)
    done = yield Work("", ReadImages(source, plan.preprocessing, plan.half))
    images = Images(done.files[FILE], done.outputs.shape, plan.data.classes)
    data = attrs.evolve(images.load(), skipped=done.outputs.skipped)
    return Run(plan, store.folder, source, images, data, done.outputs.sha256)
