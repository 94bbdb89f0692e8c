"""What people see: colours, columns that fit, a progress bar. Runs the command on a pseudo-terminal."""
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

import pytest

from conftest import COMMAND, ENVIRONMENT

# A few seconds of work for one thread, also where instrumentation makes it tens of times slower.
SECONDS_OF_PAIRS = 100 if os.environ.get("CE_SANITIZE") else 2000


def open_terminal():
    """A pseudo-terminal: its leader and its follower. A machine without any, such as a bare chroot, skips the test."""
    try:
        return pty.openpty()
    except OSError as why:
        pytest.skip(f"no pseudo-terminal can be had: {why}")
        raise


def on_terminal(*arguments, columns=80, env=None, feed=None, stdin=subprocess.DEVNULL, streams=("out", "error")):
    """Runs crossenc with a terminal as standard output and error (or one of them); what was shown, and the code.
    feed is called with standard input in small pieces, if it is given."""
    leader, follower = open_terminal()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**ENVIRONMENT, "TERM": "xterm", "LANG": "C.UTF-8", **(env or {})}
    process = subprocess.Popen([COMMAND, *map(os.fspath, arguments)], env=environment,
                               stdin=subprocess.PIPE if feed else stdin,
                               stdout=follower if "out" in streams else subprocess.DEVNULL,
                               stderr=follower if "error" in streams else subprocess.DEVNULL)
    os.close(follower)
    shown = b""
    pieces = iter(feed) if feed else iter(())
    while True:
        ready = select.select([leader], [], [], 0.02 if feed else 1)[0]
        if ready:
            try:
                data = os.read(leader, 65536)
            except OSError:
                break
            if not data:
                break
            shown += data
        elif feed and process.stdin and not process.stdin.closed:
            piece = next(pieces, None)
            if piece is None:
                process.stdin.close()
            else:
                process.stdin.write(piece)
                process.stdin.flush()
    os.close(leader)
    return shown.decode().replace("\r\n", "\n"), process.wait(60)


def plain(text):
    return re.sub(r"\033\[[0-9;]*[mK]", "", text)


def test_rank_is_a_table_that_fits(one):
    documents = ["wing " * 60, "日本語" * 40, "short", "tab\tand\nnewline"]
    for columns in (40, 80, 133):
        shown, code = on_terminal("rank", "-m", one, "q", *documents, columns=columns)
        assert code == 0 and "\033[32m" in shown
        head, *rows = plain(shown).split("documents in ")[0].splitlines()
        assert head.split() == ["rank", "score", "index", "text"]
        table = [row for row in rows if re.match(r" +\d  ", row)]
        assert len(table) == 4 and [int(row.split()[0]) for row in table] == [1, 2, 3, 4]
        for row in table:
            wide = sum(2 if ord(letter) > 0x2E80 and letter != "…" else 1 for letter in row)
            assert wide <= columns, row
        assert sum("…" in row for row in table) == (2 if columns < 133 else 2)
        assert any("tab and newline" in row for row in table)


def test_ids_stand_in_their_column(one, tmp_path):
    (tmp_path / "d.tsv").write_text("a\tx\n" + "long-" * 10 + "\ty\n日本\tz\n")
    shown, code = on_terminal("rank", "-m", one, "-D", tmp_path / "d.tsv", "q")
    rows = plain(shown).splitlines()
    assert code == 0 and rows[0].split() == ["rank", "score", "id", "text"]
    starts = {sum(2 if ord(letter) > 0x2E80 else 1 for letter in row[:row.rindex(row.split()[-1])].replace("…", "."))
              for row in rows[1:4]}
    assert len(starts) == 1, rows


@pytest.mark.parametrize("env, options, colored", [
    ({}, [], True), ({"NO_COLOR": "1"}, [], False), ({"NO_COLOR": ""}, [], True), ({"TERM": "dumb"}, [], False),
    ({}, ["--color", "never"], False), ({"NO_COLOR": "1"}, ["--color", "always"], True),
    ({}, ["--color", "auto"], True)])
def test_colours(one, env, options, colored):
    shown, code = on_terminal("rank", "-m", one, *options, "q", "d", env=env, streams=("out",))
    assert code == 0 and ("\033[" in shown) == colored
    help_shown, code = on_terminal("rank", *options, "--help", env=env)
    assert code == 0 and ("\033[" in help_shown) == colored


@pytest.mark.parametrize("command", ["rank", "bench", "convert", "pull", "help"])
def test_help_fits_the_terminal(command):
    """Its words are the same on every terminal; usage and examples, which people copy, keep their lines."""
    arguments = ["help"] if command == "help" else ["help", command]
    seen = set()
    for columns in (56, 80, 200):
        shown, code = on_terminal(*arguments, columns=columns)
        assert code == 0
        shown = plain(shown)
        seen.add(" ".join(shown.split()))
        head = shown.split("\nExamples\n")[0].splitlines()
        lines = [line for line in head if not re.match(r"Usage: |       crossenc ", line)]
        assert max(map(len, lines)) <= min(columns, 100)
        assert max(map(len, lines)) > min(columns, 100) - 16
    assert len(seen) == 1


def test_no_colours_without_a_terminal(run, one):
    assert "\033" not in run("rank", "-m", one, "q", "d").out
    assert "\033[" in run("eval", "--help", "--color", "always").out
    for command in (["rank", "-m", one, "--json", "q", "d"], ["devices", "--json"], ["inspect", "-m", one, "--json"]):
        assert "\033" not in run(*command, "--color", "always").out


def test_json_on_a_terminal_is_json(one):
    shown, code = on_terminal("rank", "-m", one, "--json", "q", "d")
    assert code == 0 and shown.startswith('{"index":0,') and "\033" not in shown


def test_errors_are_red(one):
    shown, code = on_terminal("rank", "-m", "/nonexistent", "q", "d")
    assert code == 3 and shown.startswith("\033[1m\033[31mcrossenc: error:\033[0m ")
    shown, code = on_terminal("rank", "-m", "/nonexistent", "q", "d", env={"NO_COLOR": "1"})
    assert code == 3 and shown.startswith("crossenc: error: ")


def test_speed_is_told_to_people_only(run, one):
    shown, code = on_terminal("rank", "-m", one, "q", "d")
    assert code == 0 and re.search(r"1 documents? in \d+\.\d\d s \(\d+/s\) on cpu", plain(shown))
    assert run("rank", "-m", one, "q", "d").error == ""
    assert "documents in" not in on_terminal("rank", "-m", one, "--quiet", "q", "d")[0]


def slow_pairs(seconds=1.6):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield b"heat flow\twing heat plate\n"
        time.sleep(0.05)


def test_progress_without_an_end_in_sight(one):
    shown, code = on_terminal("predict", "-m", one, feed=slow_pairs(), streams=("error",))
    assert code == 0 and re.search(r"scoring  [\d,]+ pairs  [\d,]+/s\033\[K", shown)
    assert "left" not in shown and shown.endswith("\r\033[K")


def test_progress_with_time_left(one, tmp_path):
    (tmp_path / "pairs.tsv").write_text(("heat flow\t" + "wing heat plate " * 100 + "\n") * SECONDS_OF_PAIRS)
    shown, code = on_terminal("predict", "-m", one, "-t", "1", tmp_path / "pairs.tsv", "-o", "/dev/null",
                              streams=("error",))
    assert code == 0
    bars = re.findall(r"\rscoring  ([^\r]*)", plain(shown))
    assert bars, "nothing was drawn"
    assert re.match(r"[━─]+ +\d+ %  [\d,]+ pairs  [\d,]+/s  (\d+:)?\d+:\d\d left$", bars[-1]), bars[-1]
    fractions = [int(re.search(r"(\d+) %", bar)[1]) for bar in bars]
    assert fractions == sorted(fractions) and fractions[-1] <= 100
    assert all(len(bar) + len("scoring  ") < 80 for bar in bars) and shown.endswith("\r\033[K")


@pytest.mark.parametrize("env, options, streams", [
    ({}, ["--quiet"], ("error",)), ({"TERM": "dumb"}, [], ("error",)), ({}, [], ("out",))])
def test_no_progress_where_it_is_not_wanted(one, env, options, streams):
    shown, code = on_terminal("predict", "-m", one, *options, feed=slow_pairs(1.2), env=env, streams=streams)
    assert code == 0 and "scoring" not in shown


def test_plain_bar_without_unicode(one, tmp_path):
    (tmp_path / "pairs.tsv").write_text(("heat flow\t" + "wing heat plate " * 100 + "\n") * SECONDS_OF_PAIRS)
    shown, code = on_terminal("predict", "-m", one, "-t", "1", tmp_path / "pairs.tsv", "-o", "/dev/null",
                              streams=("error",), env={"LANG": "C", "LC_ALL": "C"}, columns=60)
    assert code == 0 and "━" not in shown and re.search(r"\rscoring  #*-+ ", plain(shown))


def test_progress_of_a_bench(one):
    """What is being measured, and for how much longer."""
    shown, code = on_terminal("bench", "-m", one, "--seconds", "4", "--threads", "1", streams=("error",))
    bars = re.findall(r"\r(\w[\w ]*\w)  ([━─]+ +\d+ %)", plain(shown))
    assert code == 0 and {name for name, _ in bars} >= {"throughput", "latency"}
    assert {name for name, _ in bars} <= {"throughput", "latency", "cold start"} and shown.endswith("\r\033[K")


def test_short_work_shows_no_bar(one):
    shown, code = on_terminal("rank", "-m", one, "q", "d", streams=("error",))
    assert code == 0 and "scoring" not in shown


def test_reading_from_the_terminal_is_said(one):
    leader, follower = open_terminal()
    process = subprocess.Popen([COMMAND, "rank", "-m", os.fspath(one), "q"], stdin=follower, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env=ENVIRONMENT)
    os.close(follower)
    os.write(leader, b"wing\n\x04")
    out, error = process.communicate(timeout=60)
    os.close(leader)
    assert process.returncode == 0 and b"one a line" in error and out.count(b"\n") == 1
