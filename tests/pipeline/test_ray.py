"""The executor on Ray with a fake of the module `ray`: checks, placement, retries, files; see also `test_real_ray`."""

import os
import signal
import subprocess
import sys

import attrs
import pytest

from edgecheck.artefact import Artefact
from edgecheck.cli import main
from edgecheck.config import reader
from edgecheck.config.plan import Compute
from edgecheck.errors import DependencyError, MeasurementError, UsageError
from edgecheck.pipeline.executors import executor, ray_cluster, ray_nodes, ray_places
from edgecheck.pipeline.executors.ray_parcel import pack, unpack
from edgecheck.pipeline.schedule import Schedule
from edgecheck.pipeline.store import Store
from edgecheck.pipeline.work import Job, Work
from tests.cli.conftest import TINY
from tests.pipeline.fake_ray import OWN, FakeRay, node
from tests.pipeline.fields import all_stages
from tests.pipeline.test_schedule import Notes, chain
from tests.pipeline.toys import Alone, Interval, Refuse, Reread, Square


@pytest.fixture
def ray(monkeypatch):
    """Install a fake, described by keywords."""

    def install(**described):
        fake = FakeRay(**described)
        monkeypatch.setitem(sys.modules, "ray", fake)
        return fake

    return install


def finish(folder, *lines, name="ray", notes=None):
    with executor(name, notes or Notes()) as place:
        schedule = Schedule(Store(folder), place)
        return schedule.finish(schedule.start(lines))


def careful(variant, stage):
    try:
        yield Work(variant, stage)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def test_results_and_progress(ray, tmp_path):
    ray()
    notes = Notes()
    assert finish(tmp_path / "run", chain("a", 2.0), chain("b", 3.0), notes=notes) == [16.0, 81.0]
    assert sorted(notes.lines)[:2] == ["a-again: squared 4.0", "a: squared 2.0"]
    assert not list((tmp_path / "run").glob(".*"))  # the probe is gone


def test_one_machine_gets_a_cluster_of_its_own_and_everything_is_put_back(ray, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    fake = ray()
    before = dict(os.environ), os.getcwd(), sys.excepthook
    seen = []

    def init(**options):
        seen.append((dict(os.environ), os.getcwd()))
        os.environ["PYTHONBREAKPOINT"] = "of Ray"
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        fake.begun = options

    fake.init = init
    handler = signal.getsignal(signal.SIGTERM)
    finish(tmp_path / "run", chain("a", 2.0))
    ((variables, folder),) = seen
    assert fake.begun["address"] == "local"
    assert not fake.begun["include_dashboard"]
    assert not fake.begun["log_to_driver"]
    assert variables["RAY_USAGE_STATS_ENABLED"] == "0"
    assert variables["RAY_AUTH_MODE"] == "token"  # and a token given, or Ray writes one into the home folder
    assert len(variables["RAY_AUTH_TOKEN"]) == 64
    assert folder == fake.begun["_temp_dir"]  # not the current one, where workers would look for modules
    assert not os.path.exists(folder)
    assert fake.ended == 1
    assert (dict(os.environ), os.getcwd(), sys.excepthook) == before
    assert signal.getsignal(signal.SIGTERM) == handler


def test_a_lost_worker_is_replaced_once(ray, tmp_path):
    fake, notes = ray(losses=["WorkerCrashedError"]), Notes()
    assert finish(tmp_path / "run", chain("a", 2.0), notes=notes) == [16.0]
    assert "a: square: its worker died; it is started again" in notes.lines
    assert len(fake.tasks) == 3
    assert {task.given["max_retries"] for task in fake.tasks} == {0}  # Ray has no limit of its own for a lack of memory


@pytest.mark.parametrize(
    ("loss", "reason"),
    [
        ("WorkerCrashedError", "its worker died, twice"),
        ("OutOfMemoryError", "its worker was ended because memory ran out, twice"),
        ("NodeDiedError", "its worker was lost with its node, twice"),
    ],
)
def test_a_worker_lost_twice_fails_its_variant_alone(ray, tmp_path, loss, reason):
    ray(losses=[loss, loss], nodes=[node(CPU=1)])
    results = finish(tmp_path / "run", careful("a", Square(5.0)), chain("b", 2.0))
    assert results == [f"{MeasurementError.__name__}: {reason}", 16.0]


def test_what_fails_for_another_reason_is_not_started_again(ray, tmp_path):
    fake = ray(losses=["RayTaskError"])
    results = finish(tmp_path / "run", careful("a", Square(5.0)), careful("b", Refuse()))
    assert results == ["MeasurementError: Ray: RayTaskError: first line", "ModelError: cannot be made"]
    assert len(fake.tasks) == 2


@pytest.mark.parametrize(
    ("address", "words"),
    [("1.2.3", "write ray, ray:auto or ray:HOST:PORT"), ("ray://head:10001", "run edgecheck on one of its nodes")],
)
def test_an_address_of_no_cluster(ray, address, words):
    ray()
    with pytest.raises(UsageError, match=words):
        executor(f"ray:{address}", Notes())


def test_ray_is_not_installed(monkeypatch):
    monkeypatch.setattr(ray_cluster.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DependencyError, match=r"pip install 'edgecheck\[ray\]'"):
        executor("ray", Notes())


def asked(code, text=""):
    def run(words, **options):
        assert words[-2:] == ["--address", "head:6379"]
        if code is None:
            raise subprocess.TimeoutExpired(words, options["timeout"])
        return subprocess.CompletedProcess(words, code, "", text)

    return run


@pytest.mark.parametrize(
    ("code", "text", "why"),
    [
        (None, "", "nothing answered within 20 s"),
        (1, "Traceback\n  File\nConnectionError: No such cluster. Start one.\n", "ConnectionError: No such cluster"),
        (2, "", "ray status ended with exit code 2"),
    ],
)
def test_nothing_answers(ray, tmp_path, monkeypatch, code, text, why):
    fake = ray()
    monkeypatch.setattr(ray_cluster.subprocess, "run", asked(code, text))
    with pytest.raises(UsageError, match=rf"ray:head:6379: no Ray cluster there \({why}\); start one"):
        finish(tmp_path / "run", chain("a", 2.0), name="ray:head:6379")
    assert fake.begun is None


def test_an_existing_cluster_is_told_the_threads_and_nothing_about_resources(ray, tmp_path, monkeypatch):
    fake = ray()
    monkeypatch.setattr(ray_cluster.subprocess, "run", asked(0))
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    finish(tmp_path / "run", chain("a", 2.0), name="ray:head:6379")
    assert fake.begun["runtime_env"]["env_vars"]["OMP_NUM_THREADS"] == "2"
    assert not {"num_cpus", "_temp_dir", "object_store_memory"} & set(fake.begun)
    assert fake.tasks[0].given["num_cpus"] == 2


def test_ray_refuses(ray, tmp_path):
    fake = ray()
    fake.refuses = RuntimeError("Version mismatch: another Python\nand more")
    with pytest.raises(UsageError, match=r"Ray does not start: RuntimeError: Version mismatch: another Python$"):
        finish(tmp_path / "run", chain("a", 2.0))
    assert fake.ended == 1


TWO = [node(CPU=2), node("far", CPU=4)]
OTHER_CPU = {"machine": {"cpu": "another"}}


@pytest.mark.parametrize(
    ("described", "words"),
    [
        ({"looks": {"far": {"versions": {"torch": "1.0"}}}}, r"node address-far has torch 1\.0 \(here "),
        ({"looks": {"far": {"versions": {"python": "3.9.1"}}}}, r"has python 3\.9\.1 \(here .*same versions there"),
        ({"looks": {"far": {"versions": {"edgecheck": ""}}}}, "has edgecheck missing"),
        ({"looks": {"far": {"error": "ImportError: x"}}}, "address-far: ImportError: x; install edgecheck there"),
        ({"nodes": [node(CPU=0.5), node("dead", alive=False, CPU=8)]}, "needs 1 CPUs on one node, but no node offers"),
        ({"nodes": [*TWO, node("b", board=1)], "looks": {"b": OTHER_CPU}}, "offer `board` have another CPU"),
        ({"nodes": [node(CPU=0), node("far", CPU=4)], "looks": {"far": OTHER_CPU}}, "no node with CPUs to offer"),
    ],
)
def test_what_does_not_fit_is_said_before_any_work(ray, tmp_path, described, words):
    fake = ray(**{"nodes": TWO, **described})
    with pytest.raises(UsageError, match=words):
        finish(tmp_path / "run", chain("a", 2.0))
    assert fake.tasks == []
    assert fake.ended == 1


@pytest.mark.parametrize(("error", "words"), [("GetTimeoutError", "within 120 s"), ("RayTaskError", ": RayTaskError")])
def test_a_node_starts_no_worker(ray, tmp_path, error, words):
    fake = ray(nodes=TWO)
    fake.looks["far"] = getattr(fake.exceptions, error)()
    with pytest.raises(UsageError, match=f"node address-far starts no worker.*{words}"):
        finish(tmp_path / "run", chain("a", 2.0))


def places(described, threads=1, **looks):
    machine = ray_places.environment.machine()
    nodes = [
        ray_nodes.Node(name, name, cpus, gpus, boards, {"machine": looks.get(name, machine)})
        for name, (cpus, gpus, boards) in described.items()
    ]
    return ray_places.arranged(nodes, threads, "ray")


@attrs.frozen
class Bound(Square):
    """Its result belongs to the CPU."""

    machine: dict = attrs.field(factory=lambda: {"cpu": "this"})


@attrs.frozen
class Trains(Square):
    device: str = "auto"
    threads: int | None = None
    processes: int = 1


def test_where_time_is_measured():
    fake = FakeRay()
    single = places({OWN: (2, 0, 0)})
    assert single.options(fake, Alone(1)) == {"num_cpus": 1, "num_gpus": 0}
    # On several nodes always on the same one: this machine, which the report describes.
    several = places({OWN: (2, 0, 0), "far": (4, 0, 0)})
    assert several.options(fake, Alone(1)) == {"scheduling_strategy": (OWN, False), "num_cpus": 1, "num_gpus": 0}
    assert several.options(fake, Interval(1)) == {"num_cpus": 1, "num_gpus": 0}
    board = places({OWN: (2, 0, 0), "far": (4, 0, 0), "b": (0, 0, 1)})
    assert board.options(fake, Alone(1)) == {
        "scheduling_strategy": ("b", False),
        "num_cpus": 0,
        "resources": {"board": 1},
    }
    assert board.slots == 6


def test_what_belongs_to_the_cpu_of_this_machine_stays_on_such_nodes():
    fake = FakeRay()
    alike = places({OWN: (2, 0, 0), "far": (4, 0, 0)})
    assert "scheduling_strategy" not in alike.options(fake, Bound(1))
    mixed = places({OWN: (2, 0, 0), "far": (4, 0, 0)}, far={"cpu": "another"})
    assert mixed.options(fake, Bound(1))["scheduling_strategy"] == (OWN, False)
    assert "scheduling_strategy" not in mixed.options(fake, Square(1))


@pytest.mark.parametrize(
    ("stage", "cpus", "gpus"),
    [
        (Trains(1), 1, 1),
        (Trains(1, device="cpu", threads=3), 3, 0),
        (Trains(1, device="cuda", processes=2), 1, 2),
        (Trains(1, device="auto", processes=4), 1, 0),  # no node has so many: they train on the CPU
        (Square(1), 1, 0),
    ],
)
def test_cpus_and_gpus(stage, cpus, gpus):
    options = places({OWN: (4, 0, 0), "far": (4, 2, 0)}).options(FakeRay(), stage)
    assert (options["num_cpus"], options["num_gpus"]) == (cpus, gpus)


def test_fields_of_these_names_mean_the_same_in_all_stages():
    """`ray_places` reads them: another name, and a stage that trains on a GPU would not ask for one."""
    fields = [(stage, field) for stage in all_stages() for field in attrs.fields(stage)]
    assert {field.name for _, field in fields if "cuda" in str(field.type)} == {"device"}
    assert {str(field.type) for _, field in fields if field.name == "threads"} == {"int | None"}
    assert {str(field.type) for _, field in fields if field.name == "processes"} == {"int"}
    assert {str(field.type) for _, field in fields if "machine" in field.name} == {
        "dict[str, object]",
        "dict[str, object] | None",
    }


def twice(variant):
    done = yield Work(variant, Square(2.0))
    return (yield Work(f"{variant}-again", Reread(done.files["square.txt"]))).outputs.value


def test_files_are_sent_where_the_run_folder_is_not_seen(ray, tmp_path):
    blind = {"sizes": lambda described: dict.fromkeys(described["sizes"])}
    fake, notes = ray(nodes=TWO, looks={"far": blind}), Notes()
    assert finish(tmp_path / "run", twice("a"), twice("b"), notes=notes) == [4.0, 4.0]
    assert f"address-far does not see {tmp_path / 'run'}: files are sent to all nodes and back" in notes.lines
    assert (tmp_path / "run" / "a-again" / "reread.txt").read_text() == "4.0 again"
    assert fake.stored == 1  # the file that a stage needs; its path alone is no reason to send it again


def test_a_parcel_takes_paths_of_the_run_folder_to_another(tmp_path):
    run, other = tmp_path / "run", tmp_path / "other"
    (run / "a").mkdir(parents=True)
    (run / "a" / "square.txt").write_text("4.0")
    job = Job(Work("b", Reread(Artefact("0" * 64, run / "a" / "square.txt"))), run)
    sent = pack(job, seen=False)
    assert (sent.needed, sent.written) == (["a/square.txt"], ["b/reread.txt"])
    back = unpack(sent, other)
    assert (back.run_folder, back.work.stage.source.path) == (other, other / "a" / "square.txt")
    seen = pack(job, seen=True)
    assert (seen.needed, seen.written, seen.run_folder) == ([], [], str(run))


@pytest.fixture
def plan(tmp_path):
    from importlib import resources

    path = tmp_path / "edgecheck.yaml"
    path.write_text(TINY.format(weights=resources.files("edgecheck.models") / "digits_cnn.safetensors"))
    return reader.load(path)


@pytest.mark.parametrize(
    ("compute", "words"),
    [
        (Compute("cuda", processes=2), "needs 1 CPU and 2 GPUs on one node, which no node offers"),
        (Compute("cpu", threads=3), "needs 3 CPUs on one node"),
    ],
)
def test_a_plan_asks_for_more_than_any_node_has(ray, tmp_path, plan, compute, words):
    ray(nodes=[node(CPU=2, GPU=1), node("far", CPU=2, GPU=1)])
    with executor("ray", Notes()) as place, pytest.raises(UsageError, match=words):
        Schedule(Store(tmp_path / "run"), place).check(attrs.evolve(plan, compute=compute))


def test_a_node_lacks_the_weights(ray, tmp_path, plan):
    lacks = {"sizes": {str(plan.model.weights): None}}
    ray(nodes=TWO, looks={"far": lacks})
    words = rf"model\.weights: node address-far does not see {plan.model.weights}; put it on a shared file system"
    with executor("ray", Notes()) as place, pytest.raises(UsageError, match=words):
        Schedule(Store(tmp_path / "run"), place).check(plan)


def test_a_run_ends_with_2_before_any_work(ray, tmp_path, plan, capsys):
    ray(looks={OWN: {"versions": {"onnx": "0.1"}}})
    with pytest.raises(SystemExit) as stop:
        main(["run", str(plan.source), "--out", str(tmp_path / "run"), "--executor", "ray"])
    out, err = capsys.readouterr()
    assert (stop.value.code, out) == (2, "")
    assert "edgecheck: --executor ray: node address-own has onnx 0.1 (here " in err
    assert not (tmp_path / "run").exists()
