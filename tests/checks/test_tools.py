"""The tools that ./check and ./quickstart stand on: counting of cases, and installing of what is missing."""
import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest

SOURCE = pathlib.Path(os.environ["CE_SOURCE"])
SPEC = importlib.util.spec_from_file_location("test_summary", SOURCE / "tools/test_summary.py")
summary = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(summary)

CMOCKA = """[==========] Running 3 test(s).
[ RUN      ] one
noise without a newline[       OK ] one
[ RUN      ] two
[  ERROR   ] --- two.c:9: error: Failure!
[  FAILED  ] two
[ RUN      ] three
SKIP: no model here
[  SKIPPED ] three
[==========] 3 test(s) run.
[  FAILED  ] 1 test(s), listed below:
[  FAILED  ] two
"""
PYTEST = """test_x.py::test_a PASSED [ 50%]
=========================== short test summary info ============================
SKIPPED [2] test_x.py:10: not on this machine
SKIPPED [3] test_x.py: nowhere: today
FAILED test_x.py::test_b - assert 0
ERROR test_x.py::test_d - ValueError: x
========= 1 failed, 3 passed, 5 skipped, 1 error in 0.02s =========
"""


def counted(cases):
    outcomes = [case[1] for case in cases]
    return tuple(outcomes.count(outcome) for outcome in ("passed", "failed", "skipped"))


def test_cmocka_is_counted():
    cases = summary.cases_of("fail", 0, CMOCKA)
    assert counted(cases) == (1, 1, 1)
    assert ["three", "skipped", "no model here"] in cases


def test_crash_within_a_case_is_a_failure():
    cases = summary.cases_of("fail", 0, "[==========] Running 2 test(s).\n[ RUN      ] one\nSegmentation fault\n")
    assert ["one", "failed", "did not end: Segmentation fault"] in cases and counted(cases)[0] == 0


def test_cases_never_reached_are_a_failure():
    text = "[==========] Running 2 test(s).\n[ RUN      ] one\n[       OK ] one\n"
    assert counted(summary.cases_of("run", 0, text)) == (1, 1, 0)


def test_bad_end_after_good_cases_is_a_failure():
    """What a leak found at exit looks like."""
    text = "[==========] Running 1 test(s).\n[ RUN      ] one\n[       OK ] one\nleaked 8 bytes\n"
    assert counted(summary.cases_of("fail", 0, text)) == (1, 1, 0)


def test_pytest_is_counted():
    cases = summary.cases_of("fail", 0, PYTEST)
    assert counted(cases) == (3, 2, 5)
    assert ["test_x.py::test_d", "failed", "ValueError: x"] in cases
    assert cases.count(["test_x.py", "skipped", "nowhere: today"]) == 3


@pytest.mark.parametrize("status, output, expected", [
    ("run", "no form at all", (1, 0, 0)), ("fail", "oh", (0, 1, 0)), ("skip", "SKIP: why", (0, 0, 1)),
    ("notrun", "", (0, 1, 0)), ("disabled", "", (0, 1, 0))])
def test_other_programs_are_one_case(status, output, expected):
    assert counted(summary.cases_of(status, 0, output)) == expected


@pytest.mark.parametrize("outcomes, line, status", [
    (["passed", "skipped"], "1 passed, 0 failed, 1 skipped", 0),
    (["passed", "failed"], "1 passed, 1 failed, 0 skipped", 1),
    (["skipped"], "0 passed, 0 failed, 1 skipped", 1), ([], "0 passed, 0 failed, 0 skipped", 1)])
def test_last_line_and_status_of_the_total(tmp_path, outcomes, line, status):
    results = tmp_path / "results"
    results.write_text("".join(json.dumps({"stage": "s", "case": "c", "outcome": outcome, "reason": "r"}) + "\n"
                               for outcome in outcomes), encoding="utf-8")
    done = subprocess.run([sys.executable, "-B", SOURCE / "tools/test_summary.py", "total", results], text=True,
                          check=False, stdout=subprocess.PIPE)
    assert (done.stdout.splitlines()[-1], done.returncode) == (line, status)


@pytest.fixture(name="machine")
def machine_of_fakes(tmp_path):
    """A machine on which every package of INSTALLED is there, and apt-get writes down what it is asked."""
    def program(name, text):
        (tmp_path / name).write_text("#!/bin/sh\n" + text, encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    program("dpkg-query", 'for last; do :; done\n'
                          'case " $INSTALLED " in *" $last "* | " all ") echo "ii " ;; *) exit 1 ;; esac\n')
    program("apt-get", f'echo "$*" >>{tmp_path}/asked\ncase "$*" in *update*) exit 0 ;; -s*) exit "$KNOWN" ;; esac\n'
                       'exit "$INSTALLS"\n')
    program("id", 'echo "$USER_ID"\n')
    program("sudo", "exit 1\n")

    def run(installed, user=0, known=0, installs=0):
        environment = os.environ | {"PATH": f"{tmp_path}:/usr/bin:/bin", "INSTALLED": installed, "USER_ID": str(user),
                                    "KNOWN": str(known), "INSTALLS": str(installs)}
        done = subprocess.run([SOURCE / "tools/setup.sh", "build"], env=environment, text=True, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        asked = (tmp_path / "asked").read_text(encoding="utf-8").splitlines() if (tmp_path / "asked").exists() else []
        return done.returncode, asked, done.stderr
    return run


def test_setup_does_nothing_if_all_is_there(machine):
    assert machine("all", user=1000) == (0, [], "")


def test_setup_installs_what_is_missing(machine):
    status, asked, _ = machine("gcc libc6-dev cmake ninja-build pkgconf")
    assert status == 0
    assert "libjansson-dev" in asked[-1] and "gcc" not in asked[-1]
    assert not [line for line in asked if "update" in line]


def test_setup_updates_lists_that_lack_a_package(machine):
    status, asked, _ = machine("", known=100)
    assert status == 0
    assert "update" in asked[1] and " install " in asked[2]


def test_setup_without_a_network(machine):
    status, _, complaint = machine("", installs=100)
    assert status == 1
    assert "could not install" in complaint and "libjansson-dev" in complaint and "network" in complaint


def test_setup_without_root(machine):
    status, asked, complaint = machine("", user=1000)
    assert (status, asked) == (1, [])
    assert "root" in complaint and "apt-get install --no-install-recommends" in complaint


def test_setup_explains_itself():
    done = subprocess.run([SOURCE / "tools/setup.sh", "everything"], text=True, check=False, stderr=subprocess.PIPE)
    assert done.returncode == 2 and "usage: tools/setup.sh" in done.stderr


def test_check_refuses_unknown_stages():
    done = subprocess.run([SOURCE / "check", "moonshine"], text=True, check=False, stderr=subprocess.PIPE)
    assert done.returncode == 2 and "moonshine" in done.stderr


def test_check_explains_itself():
    done = subprocess.run([SOURCE / "check", "--help"], text=True, check=True, stdout=subprocess.PIPE)
    assert "usage: ./check" in done.stdout and "aarch64" in done.stdout and "set -u" not in done.stdout
