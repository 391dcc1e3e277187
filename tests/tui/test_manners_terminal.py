"""Towards the terminal: pace, title, notices, ASCII, and which pasted text is a path."""

import ast
from pathlib import Path

import pytest
from rich.cells import cell_len

from loralab_core.errors import BadInput
from loralab_tui.actions.manners import title_of
from loralab_tui.runs.view import Phase, RunView
from loralab_tui.studio import Studio
from loralab_tui.terminal import dropped, signs
from loralab_tui.terminal import environment as terminal
from tests.tui.fake_engine import step_event

SSH = {"SSH_CONNECTION": "203.0.113.9 50022 198.51.100.4 2222", "USER": "ada"}
PACKAGE = Path(__file__).parents[2] / "loralab_tui"


def test_the_way_back_is_a_command_that_this_shell_finds(tmp_path: Path) -> None:
    bin = tmp_path / "my env" / "bin"
    bin.mkdir(parents=True)
    for name in ("loralab", "loralab-tui"):
        (bin / name).touch(mode=0o755)
    off_path = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    assert terminal.command({"PATH": str(bin)}, str(bin / "loralab")) == "loralab-tui"
    assert terminal.command(off_path, str(bin / "loralab")) == "~/'my env/bin/loralab-tui'"
    assert terminal.command({"PATH": ""}, str(bin / "loralab")) == f"'{bin}/loralab-tui'"
    assert terminal.command({"PATH": ""}, str(tmp_path / "__main__.py")) == "loralab-tui"


def test_a_line_over_ssh_gets_fewer_frames_and_no_animations() -> None:
    here, far, few = {}, dict(SSH), {**SSH, "LORALAB_FPS": "5"}
    for environ in (here, far, few):
        terminal.prepare(environ)
    assert here["TEXTUAL_FPS"] == "60" and "TEXTUAL_ANIMATIONS" not in here
    assert far["TEXTUAL_FPS"] == "20" and far["TEXTUAL_ANIMATIONS"] == "none"
    assert few["TEXTUAL_FPS"] == "5"
    assert terminal.pace(SSH).refresh_s == 1.0 and terminal.pace(SSH).flush_s == 0.2
    assert terminal.pace({}).refresh_s == 0.5


def test_what_the_user_set_for_textual_stays() -> None:
    environ = {**SSH, "TEXTUAL_FPS": "30", "TEXTUAL_ANIMATIONS": "full"}
    terminal.prepare(environ)
    assert environ["TEXTUAL_FPS"] == "30" and environ["TEXTUAL_ANIMATIONS"] == "full"


@pytest.mark.parametrize(
    ("environ", "encoding", "plain"),
    [
        ({"LORALAB_ASCII": "1"}, "utf-8", True),
        ({"LORALAB_ASCII": "0", "TERM": "linux"}, "utf-8", False),
        ({"TERM": "linux"}, "utf-8", True),
        ({}, "iso-8859-1", True),
        ({"LANG": "de_DE.ISO-8859-1"}, "utf-8", True),
        ({"LANG": "de_DE.UTF-8"}, "utf-8", False),
        ({"LANG": "C"}, "utf-8", False),
    ],
)
def test_when_signs_are_ascii(environ: dict[str, str], encoding: str, plain: bool) -> None:
    assert terminal.ascii_only(environ, encoding) is plain


def test_titles_and_notices_go_only_where_they_are_understood() -> None:
    assert terminal.title("55%", {"TERM": "xterm"}) == "\x1b]0;55%\a"
    assert terminal.title("a\x1b\nb", {"TERM": "xterm"}) == "\x1b]0;ab\a", "a run's name cannot send sequences"
    assert terminal.title("55%", {"TERM": "linux"}) == terminal.title("55%", {}) == ""
    assert terminal.desktop_notice("done", {"TERM": "xterm-256color"}) == ""
    assert terminal.desktop_notice("done", {"TERM": "xterm-kitty"}).startswith("\x1b]99;")
    assert terminal.desktop_notice("done", {"TERM": "xterm-kitty", "TMUX": "x"}) == ""


def test_the_title_says_how_far_the_run_is() -> None:
    run = RunView("/runs/x", {"name": "shakespeare"})
    run.apply({"seq": 1, "event": "prepared", "steps": 100})
    run.apply({"seq": 2, **step_event(55, 100, 2.81)})
    studio = Studio(run=run)
    assert title_of(studio) == "55% 2.81 shakespeare - LoRA Lab"
    run.phase = Phase.DONE
    assert title_of(studio) == "done 2.81 shakespeare - LoRA Lab"
    assert title_of(Studio()) == "LoRA Lab"


def test_the_scp_line_names_address_port_and_user() -> None:
    assert terminal.scp_line("/Users/ada/my corpus.txt", SSH) == (
        "scp -r -P 2222 '/Users/ada/my corpus.txt' ada@198.51.100.4:"
    )
    assert terminal.scp_line("/a/b", {"SSH_CONNECTION": "::1 1 ::1 22", "USER": "ada"}).startswith("scp -r /a/b ada@")
    assert "[2001:db8::4]" in terminal.scp_line("/a/b", {"SSH_CONNECTION": "x 1 2001:db8::4 22", "USER": "ada"})


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("/data/corpus.txt", ["/data/corpus.txt"]),
        ("'/data/my corpus.txt' ", ["/data/my corpus.txt"]),
        ('"/data/my corpus.txt"', ["/data/my corpus.txt"]),
        ("/data/my\\ corpus.txt", ["/data/my corpus.txt"]),
        ("file:///data/my%20corpus.txt\r\n", ["/data/my corpus.txt"]),
        ("/data/a.txt '/data/b c.txt'", ["/data/a.txt", "/data/b c.txt"]),
        ("~/corpus.txt", ["~/corpus.txt"]),
        ("C:\\Users\\ada\\corpus.txt", ["/mnt/c/Users/ada/corpus.txt"]),
        ("/train", []),
        ("", []),
        ("what is in /etc/passwd?", []),
        ("/data/corpus.txt is my corpus", []),
        ("it's an unfinished 'quote", []),
        ("and/or", []),
    ],
)
def test_which_text_is_a_path(text: str, paths: list[str]) -> None:
    assert dropped.paths_in(text) == paths


def test_a_path_with_spaces_that_nobody_escaped_is_one_when_it_exists(tmp_path: Path) -> None:
    (tmp_path / "my corpus.txt").write_text("To be.")
    assert dropped.paths_in(f"{tmp_path}/my corpus.txt") == [f"{tmp_path}/my corpus.txt"]


def test_what_a_path_is_good_for(tmp_path: Path, model: Path, corpus: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    (adapter / "adapter_model.safetensors").write_bytes(b"")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")

    def kind(*paths: Path) -> str | None:
        found = dropped.recognise([str(path) for path in paths])
        return found.kind if found else None

    assert kind(adapter) == kind(adapter / "adapter_model.safetensors") == "adapter"
    assert kind(model) == kind(model / "config.json") == kind(model / "model.safetensors") == "model"
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    assert kind(tmp_path / "x.gguf") == "model"
    assert kind(corpus) == "corpus"
    assert kind(tmp_path / "picture.png") is None
    assert kind(corpus, tmp_path / "picture.png") is None
    with pytest.raises(BadInput, match="folder"):
        dropped.recognise([str(corpus), str(corpus)])


def test_every_sign_of_the_screen_has_one_in_ascii() -> None:
    missing: dict[str, str] = {}
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                bad = {letter for letter in node.value if signs.plain(letter).strip("?") == "" != letter.strip()}
                missing |= {letter: file.name for letter in bad if not letter.isascii() and letter.isprintable()}
    assert set(missing) <= {"\N{REPLACEMENT CHARACTER}"}, missing


@pytest.mark.parametrize("text", ["━╸─", "▁▂█", "naïve café", "⠢⠉⣀⠒", "猫", "😀", "● LoRA … ✓"])
def test_ascii_is_as_wide_as_what_it_stands_for(text: str) -> None:
    assert signs.in_ascii(text).isascii() and cell_len(signs.in_ascii(text)) == cell_len(text)
