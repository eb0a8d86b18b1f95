"""Seeded mutations of documents that users hand in: refused in one line, or read as they were written."""

import json
import random
from pathlib import Path

import pytest

from edgecheck.config import reader
from edgecheck.errors import EdgecheckError, InputError
from edgecheck.records import Report, from_dict, to_dict
from tests.report.conftest import make_report

HUGE = 10**400
VALUES = [None, True, False, "", "inf", "nan", "1", "\ud800", "\x1b[31m", -1, 0, 0.5, 2**70, HUGE, -1e308]
VALUES += [float("inf"), float("nan"), [], {}, [1], {"a": 1}, [[[[]]]]]

# One way to break every kind of field; `...` leaves the key out.
BROKEN = {
    "text for a number": (("readings", 0, "value"), "0.9"),
    "infinity as text": (("readings", 0, "value"), "inf"),
    "true for a number": (("readings", 0, "value"), True),
    "infinity": (("readings", 0, "value"), float("inf")),
    "a number beyond floats": (("readings", 0, "value"), HUGE),
    "a negative count": (("readings", 0, "n"), -1),
    "half a count": (("readings", 0, "n"), 1.5),
    "a count beyond floats": (("readings", 0, "n"), HUGE),
    "an interval upside down": (("readings", 0, "low"), 5.0),
    "another unit": (("readings", 0, "unit"), "s"),
    "an unknown unit": (("readings", 0, "unit"), "furlong"),
    "an unknown metric": (("readings", 0, "metric"), "size"),
    "an unknown role": (("variants", 0, "role"), "spectator"),
    "a role that is no text": (("variants", 0, "role"), ["baseline"]),
    "no name": (("variants", 0, "name"), ...),
    "an unknown key": (("variants", 0, "nmae"), "x"),
    "a number for a name": (("variants", 0, "name"), 3),
    "text for a list": (("warnings",), "abc"),
    "keys for a list": (("warnings",), {"a": 1}),
    "a list for keys": (("statuses",), ["PASS"]),
    "an unknown status": (("statuses", "l1-filters-0.2"), "FINE"),
    "text for true": (("passed",), "yes"),
    "one for true": (("passed",), 1),
    "a number for a record": (("subject",), 7),
    "a negative number of images": (("subject", "images"), -3),
    "a limit that is no number": (("policy", "criteria", 0, "limit"), float("nan")),
    "true for a version": (("schema_version",), True),
    "text for a version": (("schema_version",), "1"),
    "a list for a version": (("schema_version",), [1] * 1000),
}


def put(document, place, value):
    """Set, or with `...` delete, what stands at a place."""
    *above, last = place
    for step in above:
        document = document[step]
    if value is ...:
        del document[last]
    else:
        document[last] = value


@pytest.fixture(scope="module")
def document():
    return json.dumps(to_dict(make_report()))


@pytest.mark.parametrize(("place", "value"), BROKEN.values(), ids=BROKEN.keys())
def test_a_report_of_another_form_is_refused_at_its_place(document, place, value):
    changed = json.loads(document)
    put(changed, place, value)
    with pytest.raises(InputError) as error:
        from_dict(changed, Report)
    line = str(error.value).replace("schema version", "schema_version")
    assert len(line) < 600
    assert place[0] in line or "low" in place


def places(node, above=()):
    """Yield the place of everything in a document."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for step, child in items:
        yield (*above, step)
        yield from places(child, (*above, step))


def says(written, read):
    """Return whether a record says all that was written, type by type; 1 may be read as 1.0, true may not."""
    if isinstance(written, dict):
        return all(key in read and says(item, read[key]) for key, item in written.items())
    if isinstance(written, list):
        return len(written) == len(read) and all(map(says, written, read))
    return written == read and isinstance(written, bool) == isinstance(read, bool)


@pytest.mark.parametrize("seed", range(4))
def test_a_mutated_report_is_refused_or_read_as_written(document, seed):
    rng, outcomes = random.Random(seed), []
    by_form = {}  # so that rare keys are hit as often as those of the many readings
    for place in places(json.loads(document)):
        by_form.setdefault(tuple(step for step in place if isinstance(step, str)), []).append(place)
    for _ in range(100):
        changed = json.loads(document)
        place = rng.choice(by_form[rng.choice(list(by_form))])
        put(changed, place, rng.choice([..., *VALUES]) if isinstance(place[-1], str) else rng.choice(VALUES))
        try:
            outcomes.append(says(changed, to_dict(from_dict(changed, Report))))
        except EdgecheckError as error:
            outcomes.append(len(str(error).splitlines()) == 1)
    assert all(outcomes)
    assert len(outcomes) == 100


CONFIG = """\
name: t
model:
  factory: edgecheck:digits_cnn
  weights: w.safetensors
  arguments: {width: 3}
data:
  dataset: digits
  limit: 60
variants:
  - criterion: l1
    structure: filters
    rate: 0.2
finetune:
  epochs: 1
  flip: true
gate:
  require: any
  criteria:
    - accuracy_drop_pp <= 2
"""
NODES = ["2026-01-01", "2026-01-01 10:00:00", "!!set {a, b}", "!!binary aGVsbG8=", "!x y", "!x [y]", "{1: 2}", "~"]
NODES += ["{2026-01-01: x}", "{? [a] : b}", "!!omap [a: 1]", '"\\ud800"', '"\\0"', ".inf", ".nan", "1e999", "-1", "[]"]
NODES += [
    "{}",
    "0x" + "f" * 500,
    "9" * 500,
    '"\\e[31m"',
    "yes",
    "0o17",
    "12:30:45",
    "~no-such-user/x",
    "&a [*a]",
    "x" * 5000,
]


def parsed(text):
    """Return the error, or "", and the plan."""
    try:
        return "", reader.parse(text, Path("edgecheck.yaml"), {})
    except EdgecheckError as error:
        return str(error), None


@pytest.mark.parametrize("node", NODES)
def test_a_mutated_configuration_is_refused_in_one_line_or_is_plain_data(node):
    for line in CONFIG.splitlines():
        key, colon, _ = line.partition(": ")
        changed = CONFIG.replace(line, f"{key}{colon}{node}" if colon else f"{key} {node}", 1)
        said, plan = parsed(changed)
        assert len(said.splitlines()) <= 1
        assert said.startswith("edgecheck.yaml") or plan is not None
        assert not (plan and plan.model) or json.loads(json.dumps(plan.model.arguments)) == plan.model.arguments


@pytest.mark.parametrize("key", ["[1, 2]", "{a: b}", "? [a]\n"])
def test_a_key_that_cannot_be_one_is_refused(key):
    with pytest.raises(EdgecheckError, match=r"keys must be text|unknown key"):
        reader.parse(f"{CONFIG}{key}: 1\n", Path("edgecheck.yaml"), {})


def test_an_empty_section_is_filled_by_flags():
    text = CONFIG[: CONFIG.index("  require: any")]
    plan = reader.parse(text, Path("edgecheck.yaml"), {"gate": {"criteria": ["accuracy >= 0.5"]}})
    assert [criterion.metric for criterion in plan.policy.criteria] == ["accuracy"]


@pytest.mark.parametrize("node", ["2026-01-01", "!!set {a, b}", "!!binary aGVsbG8=", "!x y", "[2026-01-01]"])
def test_an_argument_that_is_no_plain_data_is_refused_at_its_line(node):
    text = CONFIG.replace("{width: 3}", f"{{width: {node}}}")
    with pytest.raises(EdgecheckError, match=r"edgecheck\.yaml:5: model\.arguments\.width: expected text, a number"):
        reader.parse(text, Path("edgecheck.yaml"), {})


@pytest.mark.parametrize("key", ["1", "2026-01-01", "True"])
def test_the_keys_of_arguments_are_text(key):
    text = CONFIG.replace("{width: 3}", f"{{{key}: 3}}")
    with pytest.raises(EdgecheckError, match=rf"edgecheck\.yaml:5: model\.arguments\.{key}: expected text"):
        reader.parse(text, Path("edgecheck.yaml"), {})


def test_arguments_are_handed_on_as_plain_python():
    text = CONFIG.replace("{width: 3}", "{width: 0x10, sizes: [1, 2.5], names: {a: ~, b: yes, c: text}}")
    arguments = reader.parse(text, Path("edgecheck.yaml"), {}).model.arguments
    assert arguments == {"width": 16, "sizes": [1, 2.5], "names": {"a": None, "b": "yes", "c": "text"}}
    assert {type(arguments), type(arguments["width"]), type(arguments["sizes"])} == {dict, int, list}
    assert type(arguments["sizes"][1]) is float


@pytest.mark.parametrize(
    ("key", "value"),
    [("limit", 0), ("limit", -1), ("train_limit", 0), ("train_limit", -5)],
)
def test_a_split_without_images_is_refused_before_any_work(key, value):
    text = CONFIG.replace("limit: 60", f"{key}: {value}")
    with pytest.raises(EdgecheckError, match=rf"edgecheck\.yaml:6: data: {key} must be at least 1, not {value}"):
        reader.parse(text, Path("edgecheck.yaml"), {})
