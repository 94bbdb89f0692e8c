"""Help, man page and completions name the same options, and the examples in the help are right."""
import os
import re
import shlex
import shutil
import subprocess

import pytest

from conftest import COMMAND, DATA, ENVIRONMENT, SOURCE, run_command

COMMANDS = ["rank", "predict", "encode", "eval", "bench", "devices", "inspect", "tokenize", "convert", "pull"]
MAN = SOURCE / "docs" / "man" / "crossenc.1"


def help_of(command):
    return run_command("help", command).out


def options_of(command):
    """(letter or None, name, argument or None) of each option in a command's help."""
    rows = re.findall(r"^  (?:-(\w), |    )--([\w-]+)(?: (\S+))?", help_of(command), flags=re.MULTILINE)
    assert rows
    return [(letter or None, name, argument or None) for letter, name, argument in rows]


def test_version():
    assert re.fullmatch(r"crossenc \d+\.\d+\.\d+\n", run_command("--version").out)
    assert run_command("-V").out == run_command("--version").out


def test_general_help():
    text = run_command("help").out
    assert text == run_command("--help").out == run_command("-h").out == run_command("help", "help").out
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", text, flags=re.MULTILINE)
    for code in (0, 1, 2, 3, 4, 5, 6, 141):
        assert re.search(rf"^  {code} +\w", text, flags=re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_commands(command):
    text = help_of(command)
    assert text == run_command(command, "--help").out == run_command(command, "-h").out
    assert text.startswith(f"Usage: crossenc {command} ") and "\nExamples\n" in text
    assert {"json", "color", "help"} <= {name for _, name, _ in options_of(command)}
    head, examples = text.split("\nExamples\n")
    usage = len(re.match(r"Usage: .*\n(       .*\n)*", head)[0])
    assert all(len(line) <= 80 for line in head[usage:].splitlines())
    assert all(len(line) <= 112 for line in examples.splitlines())


@pytest.mark.parametrize("command", COMMANDS)
def test_options_of_the_help_are_taken(command):
    """Each option in the help is known: with a value it wants one, without it the run goes on to the help."""
    for letter, name, argument in options_of(command):
        for option in filter(None, ["--" + name, letter and "-" + letter]):
            if argument:
                assert "needs a value" in run_command(command, option, expect=2).error
            else:
                assert run_command(command, option, "--help").out == help_of(command)


def test_unknown_commands():
    for arguments, part in [([], "no command"), (["nonsense"], "nonsense"), (["--json", "rank"], "behind the command"),
                            (["help", "nonsense"], "nonsense"), ([""], "no command"), (["rnak"], 'is it "rank"?'),
                            (["help", "tokenise"], 'is it "tokenize"?'), (["encoder"], 'is it "encode"?')]:
        assert part in run_command(*arguments, expect=2).error


@pytest.mark.parametrize("command", COMMANDS)
def test_man_page_has_every_option(command):
    page = MAN.read_text().replace("\\-", "-")
    for letter, name, argument in options_of(command):
        assert re.search(rf"--{name}\b", page), name
        if letter:
            assert f'-{letter} ", " --{name}' in page, (letter, name)
        if argument:
            assert re.search(rf'--{name} " ', page), f"{name} has a value"


def test_man_page_has_no_other_option():
    known = {name for command in COMMANDS for _, name, _ in options_of(command)} | {"version"}
    assert set(re.findall(r"--([a-z][\w-]+)", MAN.read_text().replace("\\-", "-"))) <= known


def test_man_page_is_well_formed():
    tools = [["mandoc", "-T", "lint", "-W", "warning"], ["groff", "-man", "-ww", "-Tutf8", "-z"]]
    tools = [tool for tool in tools if shutil.which(tool[0])]
    if not tools:
        pytest.skip("neither mandoc nor groff is installed")
    for tool in tools:
        done = subprocess.run([*tool, MAN], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        assert done.returncode == 0 and done.stdout == "", done.stdout


def complete(words):
    script = f"""source {shlex.quote(os.fspath(SOURCE / "completions" / "crossenc.bash"))}
COMP_WORDS=({' '.join(map(shlex.quote, words))}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
crossenc() {{ {shlex.quote(COMMAND)} "$@"; }}
_crossenc 2>/dev/null; printf '%s\\n' "${{COMPREPLY[@]}}" """
    done = subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, text=True, check=True, env=ENVIRONMENT)
    return done.stdout.split()


def test_bash_completes_commands():
    assert set(complete(["crossenc", ""])) == {*COMMANDS, "help", "--help", "--version"}
    assert complete(["crossenc", "pre"]) == ["predict"] and complete(["crossenc", "help", "ev"]) == ["eval"]


@pytest.mark.parametrize("command", COMMANDS)
def test_bash_completes_exactly_the_options(command):
    want = {"--" + name for _, name, _ in options_of(command)}
    want |= {"-" + letter for letter, _, _ in options_of(command) if letter}
    assert set(complete(["crossenc", command, "-"])) == want


def test_bash_completes_values(tmp_path):
    assert set(complete(["crossenc", "rank", "--activation", "s"])) == {"sigmoid", "softmax"}
    assert "cpu" in complete(["crossenc", "rank", "--device", ""])
    (tmp_path / "pairs.tsv").write_text("")
    assert complete(["crossenc", "predict", f"{tmp_path}/pa"]) == [f"{tmp_path}/pairs.tsv"]


@pytest.mark.parametrize("shell, file", [("zsh", "_crossenc"), ("fish", "crossenc.fish"), ("bash", "crossenc.bash")])
def test_completions_parse_and_name_every_option(shell, file):
    text = (SOURCE / "completions" / file).read_text()
    for command in COMMANDS:
        assert re.search(rf"\b{command}\b", text)
        for letter, name, _ in options_of(command):
            if shell == "fish":
                assert re.search(rf"-l {name}\b", text), name
                assert not letter or re.search(rf"-s {letter} -l {name}\b|-l {name} -s {letter}\b", text), name
            elif shell == "zsh":
                assert f"--{name}" in text and (not letter or re.search(rf"-{letter},--{name}\b", text)), name
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n", SOURCE / "completions" / file], check=True)


def test_examples_of_the_help_are_right(tmp_path, real, ties):
    """The commands of all help texts, on small files of the names that they use."""
    for name in ("corpus.jsonl", "queries.jsonl"):
        (tmp_path / name).write_bytes((ties / name).read_bytes())
    run_lines = (ties / "run.trec").read_text().splitlines(keepends=True)
    run_lines = [line for line in run_lines if line.startswith(("short", "one", "steep"))]
    (tmp_path / "bm25.trec").write_text("".join(run_lines[:12]))
    (tmp_path / "qrels.tsv").write_bytes((ties / "qrels.txt").read_bytes())
    (tmp_path / "pairs.tsv").write_text("what is a panda\tThe giant panda is a bear.\n")
    (tmp_path / "pairs.jsonl").write_text('["a", "b"]\n')
    (tmp_path / "abstracts.txt").write_text("heat\nflow\n")
    for name, model in (("nli-model", "three-labels"), ("my-model", "long-1024")):
        os.symlink(DATA / "golden" / "models" / model, tmp_path / name)
    os.symlink(DATA / "golden" / "encoders" / "mean", tmp_path / "my-encoder")
    # Those of pull are run where there is a hub to ask: tests/hub.
    examples = [line.strip() for command in COMMANDS if command != "pull" for line in help_of(command).split("\nExamples\n")[1].splitlines()
                if re.match(r"  (crossenc|printf)", line)]
    assert len(examples) >= 17
    for example in examples:
        # The tests' machine has no GPU; and the small model is as good for what takes long.
        example = example.replace("cuda:0", "cpu").replace("--documents corpus", "--model my-model --documents corpus")
        example = re.sub(r"^crossenc bench\b", "crossenc bench --seconds 1 --model my-model", example)
        example = example.replace("--seconds 10", "")
        script = f"crossenc() {{ {shlex.quote(COMMAND)} \"$@\"; }}\nset -o pipefail\n{example}"
        done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, f"{example}\n{done.stderr}"
