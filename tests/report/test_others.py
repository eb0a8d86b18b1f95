"""Why each variant but the recommended one is not shipped."""

from attrs import evolve

from edgecheck.gate.judgement import judged
from edgecheck.gate.sentence import parse
from edgecheck.records import HOST
from edgecheck.report.others import others


def reasons_under(report, *sentences):
    policy = evolve(report.policy, criteria=[parse(text) for text in sentences], require="any")
    return {variant.name: why for variant, why in others(judged(report, policy))}


def with_value(report, variant, metric, value):
    changed = [evolve(one, value=value) if one.key == (variant, metric, HOST) else one for one in report.readings]
    return evolve(report, readings=changed)


def test_a_variant_that_fails_is_listed_with_all_that_it_misses_the_farthest_first(report):
    told = reasons_under(report, "accuracy_drop_pp <= 1", "sp2ps.grad-cam >= 0.95")
    assert told["l1-filters-0.6"] == "drop +1.84 pp > 1 pp; grad-cam 0.914 < 0.95"


def test_the_recommended_variant_is_not_among_the_others(report):
    told = reasons_under(report, "accuracy_drop_pp <= 1")
    candidates = {variant.name for variant in report.variants if variant.role == "candidate"}
    assert candidates - set(told) == {"l1-filters-0.4"}


def test_what_passes_but_is_larger_says_so(report):
    told = reasons_under(report, "accuracy_drop_pp <= 1")
    assert told["l1-filters-0.2"].startswith("passes, but is larger than l1-filters-0.4: ")


def test_what_passes_without_a_gain_says_so(report):
    whole = report.value("baseline", "size.bytes").value
    same = with_value(report, "l1-filters-0.2", "size.bytes", whole)
    same = evolve(same, readings=[one for one in same.readings if one.key[:2] != ("l1-filters-0.2", "latency.ratio")])
    told = reasons_under(same, "accuracy_drop_pp <= 1")
    assert told["l1-filters-0.2"] == "passes, but is neither smaller nor faster than the baseline"


def test_a_warning_is_named_beside_what_is_better(report):
    told = reasons_under(report, "size.bytes <= 20 MB warn")
    warned = told["l1-filters-0.2"]
    assert warned.startswith("size ")
    assert "passes, but is larger than l1-filters-0.6" in warned
