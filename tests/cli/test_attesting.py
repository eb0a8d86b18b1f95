"""`attest` on a real run: statements, signatures, and what is claimed of the time at which criteria were fixed."""

import json
import os
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x25519
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner

from edgecheck.hashing import sha256
from edgecheck.report.release.statement import PAYLOAD_TYPE
from tests.cli.test_releasing import rewrite

GIT = ("git", "-c", "user.name=tester", "-c", "user.email=tester@example.org", "-c", "init.defaultBranch=main")


@pytest.fixture
def attest(edgecheck, tmp_path):
    """Run the command; return exit code, what was written, and stderr."""

    def go(run, *options):
        out = tmp_path / "attestation.json"
        code, stdout, err = edgecheck("attest", run, "-o", out, *options)
        assert stdout == ""
        return code, out.read_text(), err

    return go


def pem(private, password=None):
    how = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)


def test_the_statement_is_about_the_files_that_pass(tiny_run, tiny_report, attest, edgecheck, tmp_path):
    code, text, err = attest(tiny_run)
    assert code == 0
    statement = json.loads(text)
    passing = [name for name, status in tiny_report["statuses"].items() if status in ("PASS", "WARN", "WAIVED")]
    assert passing
    for one in statement["subject"]:
        assert one["digest"]["sha256"] == sha256(tiny_run / one["name"] / "model.onnx")
    assert [one["name"] for one in statement["subject"]] == passing
    configuration = {one["name"]: one["digest"]["sha256"] for one in statement["predicate"]["configuration"]}
    assert configuration["report.json"] == sha256(tiny_run / "report.json")
    assert configuration["data"] == tiny_report["subject"]["data_sha256"]
    assert "written; PASSED: " in err
    assert attest(tiny_run)[1] == text
    for name in passing:
        assert edgecheck("verify", tiny_run, tiny_run / name / "model.onnx", "--passing")[0] == 0


def test_a_run_that_was_changed_is_not_attested(tiny_run, tmp_path, refused):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    with open(run / "l1-filters-0.50" / "model.onnx", "ab") as file:
        file.write(b"x")
    assert "l1-filters-0.50/model.onnx was changed" in refused("attest", run, "-o", tmp_path / "a.json")
    assert not (tmp_path / "a.json").exists()


def test_a_statement_can_be_signed_with_a_local_key(tiny_run, attest, tmp_path):
    plain = attest(tiny_run)[1]
    private, other = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    key = tmp_path / "key.pem"
    key.write_bytes(pem(private))
    envelope = Envelope.from_dict(json.loads(attest(tiny_run, "--key", key)[1]))
    assert (envelope.payload.decode(), envelope.payload_type) == (plain, PAYLOAD_TYPE)
    envelope.verify([CryptoSigner(private).public_key], 1)
    with pytest.raises(VerificationError):
        envelope.verify([CryptoSigner(other).public_key], 1)
    envelope.payload = envelope.payload.replace(b"PASSED", b"FAILED")
    with pytest.raises(VerificationError):
        envelope.verify([CryptoSigner(private).public_key], 1)


def test_an_rsa_key_signs_as_well(tiny_run, attest, tmp_path):
    private = rsa.generate_private_key(65537, 2048)
    (tmp_path / "rsa.pem").write_bytes(pem(private))
    envelope = Envelope.from_dict(json.loads(attest(tiny_run, "--key", tmp_path / "rsa.pem")[1]))
    envelope.verify([CryptoSigner(private).public_key], 1)


def test_what_is_no_key_is_refused(tiny_run, tmp_path, refused):
    def message(path):
        said = refused("attest", tiny_run, "-o", tmp_path / "a.json", "--key", path)
        assert not (tmp_path / "a.json").exists()
        return said

    (tmp_path / "encrypted.pem").write_bytes(pem(ed25519.Ed25519PrivateKey.generate(), b"secret"))
    (tmp_path / "text.pem").write_text("no key")
    assert "the key is encrypted" in message(tmp_path / "encrypted.pem")
    assert "not a private key in PEM" in message(tmp_path / "text.pem")
    for name, kind in (("x25519", x25519.X25519PrivateKey), ("ed448", ed448.Ed448PrivateKey)):
        (tmp_path / f"{name}.pem").write_bytes(pem(kind.generate()))
        assert "cannot sign" in message(tmp_path / f"{name}.pem")
    (tmp_path / "curve.pem").write_bytes(pem(ec.generate_private_key(ec.SECP256K1())))
    assert "name an Ed25519, ECDSA (P-256) or RSA key" in message(tmp_path / "curve.pem")
    assert "cannot be read" in message(tmp_path / "missing.pem")
    assert "a folder" in message(tmp_path)


def test_without_the_extra_signing_says_what_to_install(tiny_run, tmp_path, refused, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "securesystemslib.dsse", None)
    (tmp_path / "key.pem").write_bytes(pem(ed25519.Ed25519PrivateKey.generate()))
    said = refused("attest", tiny_run, "-o", tmp_path / "a.json", "--key", tmp_path / "key.pem")
    assert "pip install 'edgecheck[attest]'" in said


@pytest.mark.parametrize("form", ["cyclonedx", "model-card"])
def test_the_other_formats_are_those_of_the_report(tiny_run, attest, edgecheck, refused, tmp_path, form):
    code, text, _ = attest(tiny_run, "--format", form)
    assert code == 0
    assert edgecheck("report", tiny_run, "--out", tmp_path / "again", "--format", form)[1] == text
    said = refused("attest", tiny_run, "-o", tmp_path / "a", "--format", form, "--url", "https://ci.example.org")
    assert "belong to the in-toto statement" in said


@pytest.fixture(scope="module")
def committed(tiny_config, tiny_run, tmp_path_factory):
    """Make a git repository with the configuration of the small run, committed at a time; return configuration."""
    places = iter(range(100))

    def make(when, text=None):
        folder = tmp_path_factory.mktemp(f"repository{next(places)}")
        config = folder / "edgecheck.yaml"
        config.write_text(tiny_config.read_text() if text is None else text)
        for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "criteria"]):
            subprocess.run(
                [*GIT, *words], cwd=folder, check=True, env={"PATH": "/usr/bin:/bin", "GIT_COMMITTER_DATE": when}
            )
        return config

    return make


def claimed(text):
    configuration = json.loads(text)["predicate"]["configuration"]
    return next(one for one in configuration if one["name"] == "edgecheck.yaml")


def test_criteria_in_an_older_commit_were_fixed_before(tiny_run, committed, attest):
    config = committed("2026-01-01T00:00:00+00:00")
    _, text, err = attest(tiny_run, "--config", config)
    one = claimed(text)
    assert one["annotations"]["criteriaFixedBeforeMeasuring"] is True
    assert one["annotations"]["committed"] == "2026-01-01T00:00:00+00:00"
    assert one["digest"]["sha256"] == sha256(config)
    assert len(one["digest"]["gitCommit"]) == 40
    assert "not claimed" not in err


def test_criteria_in_a_newer_commit_were_not(tiny_run, committed, attest):
    _, text, err = attest(tiny_run, "--config", committed("2099-01-01T00:00:00+00:00"))
    assert "annotations" not in claimed(text)
    assert "not claimed that the criteria were fixed before measuring" in err


def test_criteria_that_are_not_committed_were_not(tiny_run, tiny_config, tmp_path, attest, committed):
    config = tmp_path / "edgecheck.yaml"
    shutil.copy(tiny_config, config)
    _, text, err = attest(tiny_run, "--config", config)
    assert "annotations" not in claimed(text)
    assert "not in a git repository" in err
    older = committed("2026-01-01T00:00:00+00:00", "something else\n")
    shutil.copy(tiny_config, older)
    _, text, err = attest(tiny_run, "--config", older)
    assert "annotations" not in claimed(text)
    assert "has changes that are not committed" in err


def test_another_configuration_is_refused(tiny_run, tiny_config, tmp_path, refused):
    other = tmp_path / "edgecheck.yaml"
    other.write_text(tiny_config.read_text() + "\n")
    said = refused("attest", tiny_run, "-o", tmp_path / "a.json", "--config", other)
    assert "not the configuration that" in said


def test_limits_changed_after_measuring_are_not_called_fixed(tiny_run, committed, attest, edgecheck, tmp_path):
    """The folder of the run is judged again by other limits: its report no longer has those of the configuration."""
    run = shutil.copytree(tiny_run, tmp_path / "run")
    document = json.loads((run / "report.json").read_text())
    for criterion in document["policy"]["criteria"]:
        if criterion["metric"] == "size.bytes":
            criterion["limit"] = 2e6
    rewrite(run, document)
    _, text, err = attest(run, "--config", committed("2026-01-01T00:00:00+00:00"))
    assert "annotations" not in claimed(text)
    assert "its gate is not the one that the report was judged by" in err


@pytest.mark.parametrize("name", ["pipe", "folder", "."])
def test_only_a_file_is_replaced(tiny_run, tmp_path, refused, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    (tmp_path / "folder").mkdir()
    assert "name a regular file" in refused("attest", tiny_run, "-o", name)
    assert (tmp_path / "pipe").is_fifo()
    assert sorted(os.listdir()) == ["folder", "pipe"]


def test_out_is_required(tiny_run, refused):
    assert "--out" in refused("attest", tiny_run)


def public(private):
    return private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@pytest.fixture
def keys(tmp_path):
    """Two pairs of keys; return the names of the private file, of its public one, and of the other public one."""
    private, other = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    names = [tmp_path / name for name in ("key.pem", "public.pem", "other.pem")]
    for path, content in zip(names, (pem(private), public(private), public(other)), strict=True):
        path.write_bytes(content)
    return names


def attestation_checks(edgecheck, *arguments):
    code, out, err = edgecheck("verify", *arguments, "--format", "json")
    assert out, err
    found = [one for one in json.loads(out)["checks"] if one["item"] == "attestation"]
    return code, {one["name"].rpartition(": ")[2]: one["state"] for one in found}


def test_a_signed_attestation_is_verified(tiny_run, attest, edgecheck, keys, tmp_path):
    key, own, other = keys
    _, text, _ = attest(tiny_run, "--key", key)
    signed = ["--attestation", tmp_path / "attestation.json"]
    sound = dict.fromkeys(("signature", "report.json", "subjects", "verdicts"), "unchanged")
    assert attestation_checks(edgecheck, tiny_run, *signed, "--public-key", own) == (0, sound)
    wrong = attestation_checks(edgecheck, tiny_run, *signed, "--public-key", other)
    assert wrong == (2, {**sound, "signature": "changed"})
    assert attestation_checks(edgecheck, tiny_run, *signed) == (2, {**sound, "signature": "unknown"})
    envelope = json.loads(text)
    statement = json.loads(Envelope.from_dict(json.loads(text)).payload)  # it takes apart what it is given
    statement["subject"][0]["digest"]["sha256"] = "0" * 64
    envelope["payload"] = Envelope(json.dumps(statement).encode(), PAYLOAD_TYPE, {}).to_dict()["payload"]
    (tmp_path / "attestation.json").write_text(json.dumps(envelope))
    forged = attestation_checks(edgecheck, tiny_run, *signed, "--public-key", own)
    assert forged == (2, {**sound, "signature": "changed", "subjects": "changed", "verdicts": "changed"})


def test_an_unsigned_attestation_is_compared_with_its_run(tiny_run, attest, edgecheck, keys, tmp_path):
    attest(tiny_run)
    plain = ["--attestation", tmp_path / "attestation.json"]
    sound = dict.fromkeys(("report.json", "subjects", "verdicts"), "unchanged")
    assert attestation_checks(edgecheck, tiny_run, *plain) == (0, sound)
    missing = attestation_checks(edgecheck, tiny_run, *plain, "--public-key", keys[1])
    assert missing == (2, {"signature": "missing", **sound})
    run = shutil.copytree(tiny_run, tmp_path / "run")
    document = json.loads((run / "report.json").read_text())
    rewrite(run, {**document, "created": "2026-01-01T00:00:00+00:00"})
    assert attestation_checks(edgecheck, run, *plain) == (2, {**sound, "report.json": "changed"})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "not an in-toto statement"),
        ('{"_type": "https://in-toto.io/Statement/v0.1"}', "not an in-toto statement"),
        ('{"payload": 3}', "not a DSSE envelope"),
        ('{"payload": "x", "payloadType": "y", "signatures": []}', "not a DSSE envelope"),
        ('{"_type": ', "not a readable attestation: truncated"),
    ],
)
def test_what_is_no_attestation_is_refused(tiny_run, tmp_path, refused, content, said):
    (tmp_path / "a.json").write_text(content)
    assert said in refused("verify", tiny_run, "--attestation", tmp_path / "a.json")


def test_a_statement_without_subjects_proves_nothing(tiny_run, edgecheck, tmp_path):
    for rest in ("", ', "subject": 3, "predicate": []', ', "subject": [{"name": "baseline", "digest": 1}]'):
        (tmp_path / "a.json").write_text(f'{{"_type": "https://in-toto.io/Statement/v1"{rest}}}')
        found = attestation_checks(edgecheck, tiny_run, "--attestation", tmp_path / "a.json")
        assert found == (2, dict.fromkeys(("report.json", "subjects", "verdicts"), "changed"))


def _result(statement):
    statement["predicate"]["result"] = "WARNED"


def _kind(statement):
    statement["predicateType"] = "https://example.org/other"


def _tests(statement):
    statement["predicate"]["passedTests"].append("baseline: all is well")


def _verdict(statement):
    statement["subject"][0]["annotations"]["verdict"] = "WAIVED"


def _baseline(statement):
    own = next(one for one in statement["predicate"]["configuration"] if one["name"] == "baseline")
    statement["subject"].append({"name": "baseline", "digest": own["digest"], "annotations": {"verdict": "PASS"}})


@pytest.mark.parametrize("edit", [_result, _kind, _tests, _verdict, _baseline])
def test_a_statement_must_say_what_its_run_says(tiny_run, attest, edgecheck, tmp_path, edit):
    """Its subjects are files of the run, and its report is the one in the folder; only what it says was edited."""
    statement = json.loads(attest(tiny_run)[1])
    edit(statement)
    (tmp_path / "edited.json").write_text(json.dumps(statement))
    found = attestation_checks(edgecheck, tiny_run, "--attestation", tmp_path / "edited.json")
    assert found == (2, {"report.json": "unchanged", "subjects": "unchanged", "verdicts": "changed"})


@pytest.mark.parametrize("part", ["subject", "configuration"])
def test_a_second_descriptor_of_the_same_name_does_not_hide_a_wrong_one(tiny_run, attest, edgecheck, tmp_path, part):
    statement = json.loads(attest(tiny_run)[1])
    descriptors = statement["subject"] if part == "subject" else statement["predicate"]["configuration"]
    name = descriptors[0]["name"] if part == "subject" else "report.json"
    descriptors.insert(0, {"name": name, "digest": {"sha256": "0" * 64}})
    (tmp_path / "edited.json").write_text(json.dumps(statement))
    code, found = attestation_checks(edgecheck, tiny_run, "--attestation", tmp_path / "edited.json")
    assert (code, found["subjects" if part == "subject" else "report.json"]) == (2, "changed")


def test_a_public_key_must_be_one(tiny_run, attest, keys, tmp_path, refused):
    attest(tiny_run, "--key", keys[0])
    options = ["--attestation", tmp_path / "attestation.json", "--public-key"]
    assert "not a public key in PEM" in refused("verify", tiny_run, *options, keys[0])
    assert "cannot be read" in refused("verify", tiny_run, *options, tmp_path / "missing.pem")
    assert "--public-key needs --attestation" in refused("verify", tiny_run, "--public-key", keys[1])


@pytest.mark.parametrize(("expires", "result"), [("2999-12-31", "WARNED"), ("2020-01-01", "FAILED")])
def test_an_expired_waiver_is_not_attested(tiny_run, attest, edgecheck, tmp_path, expires, result):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    document = json.loads((run / "report.json").read_text())
    for criterion in document["policy"]["criteria"]:
        if criterion["metric"] == "size.bytes":
            criterion["limit"] = 1.0
    waiver = {"metric": "size.bytes", "reason": "no time", "approved_by": "QA", "expires": expires, "where": ""}
    names = ["l1-filters-0.50", "l1-unstructured-0.20"]
    document["policy"]["waivers"] = [{"variant": name, **waiver} for name in names]
    rewrite(run, document)
    statement = json.loads(attest(run)[1])
    assert statement["predicate"]["result"] == result
    tests = {"WARNED": "warnedTests", "FAILED": "failedTests"}[result]
    assert "l1-unstructured-0.20: size.bytes <= 1 B" in statement["predicate"][tests]
    code, _, _ = edgecheck("verify", run, run / "l1-unstructured-0.20" / "model.onnx", "--passing")
    assert code == (0 if result == "WARNED" else 1)
