#!/usr/bin/env python3
"""Runs tests and counts their cases, over several stages.

    test_summary.py ctest RESULTS STAGE BUILD [CTEST-ARGUMENT...]   runs ctest in the build folder BUILD
    test_summary.py command RESULTS STAGE NAME COMMAND...           runs a command as one case (exit status 77: skipped)
    test_summary.py skip RESULTS STAGE NAME REASON                  notes a case that cannot run here
    test_summary.py total RESULTS                                   prints all stages; the last line is the sum

A case is one cmocka test, one pytest test, or, where a test prints neither form, the whole program. A program that
ends badly without a failed case of its own (a crash, a leak found at exit, a failed group setup), or that runs fewer
cases than it announced, is one failed case more. RESULTS is a file of JSON lines to which the first three append.
The exit status is 0 if no case failed and, for ctest and total, at least one passed.

Relies on the standard library and on ctest; must not know any test by name.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
SKIP_STATUS = 77

CMOCKA_COUNT = re.compile(r"^\[={10}\] Running (\d+) test\(s\)\.$")
CMOCKA_RUN = re.compile(r"^\[ RUN {6}\] (.+)$")
CMOCKA_END = re.compile(r"\[ *(OK|FAILED|SKIPPED|ERROR) *\] ([^\[]+)$")
PYTEST_END = re.compile(r"^=+ (.*) in [\d.]+s(?: \([\d:]+\))? =+$")
PYTEST_COUNT = re.compile(r"(\d+) (passed|failed|skipped|error|errors|xfailed|xpassed)")
PYTEST_NAMED = re.compile(r"^(FAILED|ERROR) (.+?)(?: - (.*))?$")
PYTEST_SKIP = re.compile(r"^SKIPPED \[(\d+)\] (\S+?(?::\d+)?): (.*)$")
PYTEST_OUTCOME = {"passed": PASSED, "xfailed": SKIPPED, "skipped": SKIPPED}


def cmocka_cases(lines):
    """(cases, announced): cases are [name, outcome, reason]; announced is None if no line is cmocka's."""
    cases, announced, running, reason = [], None, None, ""
    for line in lines:
        if match := CMOCKA_COUNT.match(line):
            announced = (announced or 0) + int(match[1])
        elif match := CMOCKA_RUN.match(line):
            if running:
                cases.append([running, FAILED, "did not end"])
            running, reason = match[1], ""
        elif running and (match := CMOCKA_END.search(line)) and match[2] == running:
            outcome = {"OK": PASSED, "SKIPPED": SKIPPED}.get(match[1], FAILED)
            cases.append([running, outcome, "" if outcome == PASSED else reason or "no reason given"])
            running = None
        elif running and line.strip():
            reason = skip_reason(line) or reason or line.strip()
    if running:
        cases.append([running, FAILED, "did not end: " + (reason or "no output")])
    return cases, announced


def last_line(lines):
    return next((line.strip() for line in reversed(lines) if line.strip()), "no output")


def skip_reason(line):
    return line.split("SKIP:", 1)[1].strip() if "SKIP:" in line else ""


def pytest_cases(lines):
    """cases of a pytest run, or None if its last line is not there."""
    total = next((match[1] for line in reversed(lines) if (match := PYTEST_END.match(line))), None)
    if total is None:
        return None
    named = {FAILED: [], SKIPPED: []}
    for line in lines:
        if match := PYTEST_NAMED.match(line):
            named[FAILED].append([match[2], FAILED, match[3] or ""])
        elif match := PYTEST_SKIP.match(line):
            named[SKIPPED] += [[match[2], SKIPPED, match[3]]] * int(match[1])
    cases = []
    for number, word in PYTEST_COUNT.findall(total):
        outcome = PYTEST_OUTCOME.get(word, FAILED)
        known = named.get(outcome, [])
        details = known[:int(number)]
        del known[:int(number)]
        cases += details + [["", outcome, ""]] * (int(number) - len(details))
    return cases


def cases_of(status, seconds, output):
    """The cases of one ctest test. status is run, fail, skip, disabled or notrun."""
    lines = output.splitlines()
    if status == "skip":
        reason = next((skip_reason(line) for line in lines if "SKIP:" in line), "")
        return [["", SKIPPED, reason or "no reason given"]]
    if status not in ("run", "fail"):
        return [["", FAILED, "could not be run (was it built?)"]]
    cases, announced = cmocka_cases(lines)
    if announced is None:
        cases = pytest_cases(lines) or []
    elif len(cases) < announced:
        cases.append(["(program)", FAILED, f"{announced - len(cases)} of {announced} cases were never reached"])
    if status == "fail" and not any(case[1] == FAILED for case in cases):
        cases.append(["(program)", FAILED, f"ended badly after {seconds:.0f} s: {last_line(lines)}"])
    return cases or [["", PASSED, ""]]


def record(results, stage, test, cases):
    with open(results, "a", encoding="utf-8") as file:
        for name, outcome, reason in cases:
            full = f"{test}: {name}" if name else test
            file.write(json.dumps({"stage": stage, "case": full, "outcome": outcome, "reason": reason}) + "\n")


def run_ctest(results, stage, build, arguments):
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        junit = os.path.join(folder, "junit.xml")
        size = str(1 << 28)
        subprocess.run(["ctest", "--test-dir", build, "--output-on-failure", "--no-tests=error",
                        "--output-junit", junit, "--test-output-size-passed", size, "--test-output-size-failed", size,
                        *arguments], check=False)
        try:
            tests = ElementTree.parse(junit).getroot().iter("testcase")
        except (OSError, ElementTree.ParseError) as error:
            record(results, stage, "ctest", [["", FAILED, f"left no results: {error}"]])
            return 1
    outcomes = []
    for test in tests:
        status = test.get("status", "")
        skipped = test.find("skipped")
        if status == "notrun" and skipped is not None and "SKIP_RETURN_CODE" in skipped.get("message", ""):
            status = "skip"
        cases = cases_of(status, float(test.get("time", 0)), test.findtext("system-out") or "")
        record(results, stage, test.get("name"), cases)
        outcomes += [case[1] for case in cases]
    print(f"{stage}: {sentence(outcomes)} ({time.monotonic() - started:.0f} s)", flush=True)
    return 1 if FAILED in outcomes or PASSED not in outcomes else 0


def run_command(results, stage, name, command):
    started = time.monotonic()
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                         check=False)
    sys.stdout.write(run.stdout)
    outcome = {0: PASSED, SKIP_STATUS: SKIPPED}.get(run.returncode, FAILED)
    lines = [line.strip() for line in run.stdout.splitlines() if line.strip()]
    reason = ""
    if outcome == SKIPPED:
        reason = next((skip_reason(line) for line in lines if "SKIP:" in line), "no reason given")
    elif outcome == FAILED:
        reason = f"exit status {run.returncode}: " + last_line(lines)
    record(results, stage, name, [["", outcome, reason]])
    print(f"{stage}: {name}: {outcome} ({time.monotonic() - started:.0f} s)", flush=True)
    return 1 if outcome == FAILED else 0


def sentence(outcomes):
    return ", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in (PASSED, FAILED, SKIPPED))


def print_cases(cases, outcome, title):
    """Lists the cases of one outcome; those that share a reason are one line."""
    reasons = {}
    for case in cases:
        if case["outcome"] == outcome:
            key = case["reason"] if outcome == SKIPPED else (case["stage"], case["case"])
            reasons.setdefault(key, []).append(case)
    if reasons:
        print(f"\n{title}:")
    for same in reasons.values():
        first = same[0]
        more = f" (and {len(same) - 1} more)" if len(same) > 1 else ""
        print(f"  {first['stage']}: {first['case']}{more}: {first['reason']}")


def total(results):
    try:
        with open(results, encoding="utf-8") as file:
            cases = [json.loads(line) for line in file]
    except OSError:
        cases = []
    stages = list(dict.fromkeys(case["stage"] for case in cases))
    print_cases(cases, SKIPPED, "Skipped")
    print_cases(cases, FAILED, "Failed")
    print()
    width = max((len(stage) for stage in stages), default=0)
    for stage in stages:
        print(f"{stage:{width}}  {sentence([case['outcome'] for case in cases if case['stage'] == stage])}")
    outcomes = [case["outcome"] for case in cases]
    print(sentence(outcomes), flush=True)
    return 1 if FAILED in outcomes or PASSED not in outcomes else 0


def main(arguments):
    if len(arguments) >= 4 and arguments[0] == "ctest":
        return run_ctest(arguments[1], arguments[2], arguments[3], arguments[4:])
    if len(arguments) >= 5 and arguments[0] == "command":
        return run_command(arguments[1], arguments[2], arguments[3], arguments[4:])
    if len(arguments) == 5 and arguments[0] == "skip":
        record(arguments[1], arguments[2], arguments[3], [["", SKIPPED, arguments[4]]])
        return 0
    if len(arguments) == 2 and arguments[0] == "total":
        return total(arguments[1])
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
