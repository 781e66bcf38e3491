"""One signature over all that went in and all that was left: an in-toto statement in DSSE.

The audit finds what does not fit; who makes everything fit anew is found here, for want of the key.
Statement: https://in-toto.io/Statement/v1; predicate: https://slsa.dev/provenance/v1; envelope:
https://github.com/secure-systems-lab/dsse. ssh-keygen signs and verifies, and knows who is named;
digests are of bytes, as `sha256sum` has them: no program of ours is needed to look.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mnist_diffusion.audit.output import Findings, failed, note, unverified
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import write_json
from mnist_diffusion.provenance.digests import file_digest
from mnist_diffusion.runtime.errors import UserError

SIGNATURE = paths.REPORTS / "signature.json"
NAMESPACE = "mnist-diffusion"
"""What a line of an allowed_signers file must allow, if it says what its key is for."""
PAYLOAD_TYPE = "application/vnd.in-toto+json"
KIND = {
    "_type": "https://in-toto.io/Statement/v1",
    "predicateType": "https://slsa.dev/provenance/v1",
}
BUILD = "https://dvc.org/doc/command-reference/repro"
TAKEN = (paths.PARAMS, paths.PIPELINE, paths.REQUIREMENTS, paths.RAW, paths.CODE)
"""What goes in; all else was left by the stages."""
NO_PART = {SIGNATURE, Path("data/README.md"), Path("models/README.md")}
ARMOUR = "-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n"


def statement() -> dict[str, Any]:
    """What is here: every file that was left, and every one that went in, with its SHA-256."""
    left: list[dict[str, Any]] = []
    taken: list[dict[str, Any]] = []
    for name in _files():
        one = {"name": name, "digest": {"sha256": file_digest(Path(name))}}
        (taken if any(Path(name).is_relative_to(place) for place in TAKEN) else left).append(one)
    build = {
        "buildType": BUILD,
        "externalParameters": {"pipeline": str(paths.PIPELINE), "parameters": str(paths.PARAMS)},
        "resolvedDependencies": taken,
    }
    predicate = {
        "buildDefinition": build,
        "runDetails": {"builder": {"id": "https://dvc.org"}},
    }
    return {**KIND, "subject": left, "predicate": predicate}


def write_signed(content: dict[str, Any], key: Path) -> None:
    """Have ssh-keygen sign a statement, and write it; UserError if it cannot, with its words."""
    payload = json.dumps(content, sort_keys=True).encode()
    done = _ssh("sign", "-f", str(key), "-n", NAMESPACE, signed=_signed(PAYLOAD_TYPE, payload))
    if done.returncode:
        why = " ".join(done.stderr.decode(errors="replace").split())
        raise UserError(f"{key}: {why}; name another key, or make one: ssh-keygen -t ed25519")
    blob = "".join(done.stdout.decode().splitlines()[1:-1])
    text = base64.b64encode(payload).decode()
    write_json(
        SIGNATURE, {"payloadType": PAYLOAD_TYPE, "payload": text, "signatures": [{"sig": blob}]}
    )


def check_signature(signers: Path) -> Findings:
    """One whom an allowed_signers file names has signed, and all here is as they signed it.

    FileNotFoundError without a signature; ValueError or KeyError if it is none.
    """
    envelope = json.loads(SIGNATURE.read_text(encoding="utf-8"))
    payload = base64.b64decode(envelope["payload"], validate=True)
    [signature] = envelope["signatures"]
    who = _who(_signed(envelope["payloadType"], payload), signature["sig"], signers)
    if not who:
        yield failed(SIGNATURE, f"not as anyone named in {signers.name} has signed it")
        return
    content = json.loads(payload)
    build = content["predicate"]["buildDefinition"]
    if content | KIND != content or build["buildType"] != BUILD:
        raise ValueError("signed, but it tells of no run of this pipeline")
    every = [*content["subject"], *build["resolvedDependencies"]]
    due = {one["name"]: one["digest"]["sha256"] for one in every}
    yield note(SIGNATURE, f"{len(due)} files: {who}")
    here = {*_files()}
    for name in sorted(due.keys() | here):
        if name not in here:
            yield unverified(name, "signed, and not there; `dvc pull` brings it back")
        elif name not in due:
            yield unverified(name, "here, and not signed; look at it, and sign again")
        elif (digest := file_digest(Path(name))) != due[name]:
            yield failed(name, "not what was signed", due[name], digest)


def _signed(kind: str, payload: bytes) -> bytes:
    """What a DSSE signature is of: the payload and its type, each with its length (PAE)."""
    return b"DSSEv1 %d %s %d %s" % (len(kind.encode()), kind.encode(), len(payload), payload)


def _who(signed: bytes, signature: str, signers: Path) -> str | None:
    """What ssh-keygen says of a good signature: by whom, and by which key; None for any other."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "sig"
        file.write_text(ARMOUR.format(signature), encoding="utf-8")
        known = ("-f", str(signers), "-s", str(file))
        for name in _ssh("find-principals", *known).stdout.decode().splitlines():
            done = _ssh("verify", "-I", name, "-n", NAMESPACE, *known, signed=signed)
            if done.returncode == 0:
                return done.stdout.decode().strip()
    return None


def _ssh(action: str, *arguments: str, signed: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    try:
        command = ["ssh-keygen", "-Y", action, *arguments]
        return subprocess.run(command, input=signed, capture_output=True)
    except FileNotFoundError:
        raise UserError("ssh-keygen: not found; install OpenSSH 8.2 or later") from None


def _files() -> Iterator[str]:
    """All that is signed; hidden files, and what git brings to a fresh clone, are not."""
    yield from (str(path) for path in (*TAKEN, paths.LOCK) if path.is_file())
    for folder in (*paths.PUBLISHED, paths.CODE):
        for path in sorted(folder.rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
            if path.is_file() and not hidden and path not in NO_PART:
                yield path.as_posix()
