#!/usr/bin/env bash
# Workers on hosts that ssh reaches, scheduler and head on this one, which they can reach at ADDRESS:
#     ADDRESS=10.0.0.1 cluster/ssh.sh HOST...
# Each host has this project in a folder of the same path, with `make setup` done. Data travels by a
# disk that all see, or else by DVC's default remote (`dvc remote add -d`), from and to each host.
set -euo pipefail
test $# -gt 0 || { echo "error: HOST: not given; run ADDRESS=10.0.0.1 $0 HOST..." >&2; exit 1; }
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
address="${ADDRESS:-$(hostname -f)}" port="${PORT:-8786}"
config="${XDG_CONFIG_HOME:-$HOME/.config}/mnist-diffusion"
test -d "$config" || mnist-diffusion tls

mnist-diffusion scheduler --host "$address" --port "$port" &
trap 'kill $(jobs -p) || true; wait' EXIT
for host in "$@"; do
    tar -C "$config/.." -c mnist-diffusion | ssh "$host" 'umask 077; mkdir -p .config; tar -C .config -x'
    # -tt: when this end of the line is cut, the worker and all that it runs end, too
    ssh -tt "$host" "cd '$PWD' && .venv/bin/mnist-diffusion worker 'tls://$address:$port'" </dev/null &
done
mnist-diffusion repro --cluster "tls://$address:$port"
