from __future__ import annotations

import subprocess
import sys

from typer.main import get_command

from flows.cli import COMMANDS, EVALUATE, app


def first_line(text: str | None) -> str:
    return (text or "").split("\n", 1)[0]


def test_the_help_that_is_shown_before_a_command_is_imported_is_its_own() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    shown = {name: lazy.help for name, lazy in COMMANDS.items()}
    assert {name: first_line(one.help) for name, one in commands.items()} == shown
    judging = commands["evaluate"].commands
    shown = {name: lazy.help for name, lazy in EVALUATE.items()}
    assert {name: first_line(one.help) for name, one in judging.items()} == shown


def test_help_and_version_import_neither_torch_nor_ffmpeg_nor_kafka() -> None:
    heavy = "{'av', 'cv2', 'kafka', 'matplotlib', 'onnxruntime', 'scipy', 'torch'}"
    for words in ([], ["--help"], ["evaluate", "--help"], ["version"]):
        program = (
            "import sys\nfrom flows.cli import main\n"
            f"try:\n    main({words!r})\nexcept SystemExit:\n    pass\n"
            f"sys.exit(str({heavy} & set(sys.modules)) if {heavy} & set(sys.modules) else 0)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (words, done.stderr)
        assert "Usage: " in done.stdout or done.stdout.startswith("sightflow ")
