"""Names of hosts and interpreters: what reaches `ssh` and a shell."""

import ast
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecheck.errors import UsageError
from edgecheck.remote import connection
from edgecheck.remote.connection import Access
from edgecheck.remote.names import host, interpreter


@pytest.mark.parametrize(
    "text", ["board", "pi@board", "10.0.0.7", "fe80::1%eth0", "pi@::1", "a_b-c.example", "u@d@board"]
)
def test_hosts(text):
    assert str(host(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "-x", "-oProxyCommand=reboot", "pi@-x", "@board", "-u@board", "a b", "a;b", "a\nb", "a`b`", "$(a)", "a@", "%h",
     "fe80::1%$(a)", "b\u00f6ard", "\u2010x", 300 * "a"],
)  # fmt: skip
def test_hosts_that_are_refused(text):
    with pytest.raises(UsageError, match="--host"):
        host(text)


def test_interpreters():
    assert interpreter("python3.12") == "python3.12"
    assert interpreter("~/my venv/bin/python") == "./my venv/bin/python"  # relative to the home folder there
    for text in ("", " ", "-c", "~other/python", "a'b", "a;b", "a\nb", "$HOME/python", "a!b", "a\\b"):
        with pytest.raises(UsageError, match="--python"):
            interpreter(text)


@given(st.text(min_size=1, max_size=20), st.text(max_size=20))
def test_what_passes_is_one_word_for_a_shell(name, python):
    try:
        access = Access(interpreter(python))
        words = connection._command(host(name), access, "token", 7)
    except UsageError:
        return
    assert words[words.index("--") + 1 :][0] == name
    assert not name.startswith("-")
    script = words[-1]
    assert shlex.split(script)[5] == access.python
    assert shlex.split(script)[-2:] == ["token", "7"]


def test_the_text_for_the_login_shell_suits_all_shells():
    """Within single quotes, shells differ about backslashes, `!`, line ends and single quotes themselves."""
    for text in (connection._CHOOSE, connection._BOOT):
        assert text.isprintable()
        assert not set("'\\!") & set(text)
    ast.parse(connection._BOOT, feature_version=(3, 4))


def test_what_is_sent_needs_the_standard_library_alone():
    """The device may lack everything else; and what it imports of edgecheck must be sent along."""
    import sys
    from importlib import resources

    for path in resources.files(connection.THERE).iterdir():
        if path.suffix == ".py":
            tree = ast.parse(path.read_text())
            names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
            names |= {each.name for node in ast.walk(tree) if isinstance(node, ast.Import) for each in node.names}
            foreign = {name for name in names if name.split(".")[0] not in sys.stdlib_module_names}
            assert all(name.startswith(f"{connection.THERE}.") for name in foreign), (path, foreign)
