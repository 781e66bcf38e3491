"""The git commit that the sources stand at."""

import subprocess

SOURCES = ("src", "params.yaml", "dvc.yaml", "requirements.lock")
"""What decides a result; dvc.lock and the reports change in every repro and are not dirt."""


def commit() -> dict[str, str | bool | None]:
    """The commit, and whether the sources differ from it; null: no git."""
    changes = _git("status", "--porcelain", "--", *SOURCES)
    dirty = None if changes is None else bool(changes)
    return {"git_commit": _git("rev-parse", "HEAD"), "git_dirty": dirty}


def _git(*arguments: str) -> str | None:
    """What a git command prints, or None where there is no git or no repository."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
