#!/usr/bin/env bash
# Make .venv, and install the system programs that are missing where that is possible.
# usage: scripts/setup.sh [python3]
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-python3}

packages=()
has() { command -v "$1" >/dev/null; }
has g++ || packages+=(g++)
has make || packages+=(make)
has iverilog || packages+=(iverilog) # optional: a second reader of the Verilog
has ccache || packages+=(ccache)     # optional: builds again faster
has clang || packages+=(clang)       # optional: a second reader of the C
"$python" -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)
packages+=($("$python" scripts/missing_libpython.py)) # Debian keeps it in a package of its own

if ((${#packages[@]})); then
    line=(apt-get install -y --no-install-recommends "${packages[@]}")
    if [[ $EUID -eq 0 ]] && has apt-get; then
        export DEBIAN_FRONTEND=noninteractive
        { apt-get update -q && "${line[@]}"; } || echo "setup: this failed: ${line[*]}" >&2
    else
        echo "setup: missing here: ${packages[*]}; on Debian or Ubuntu: sudo ${line[*]}" >&2
    fi
fi
has g++ || { echo "setup: g++ is needed to build and run what bitwright generates" >&2; exit 1; }

[[ -x .venv/bin/python ]] || "$python" -m venv .venv
echo "setup: installing into .venv"
.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'

.venv/bin/python - <<'PY'
import sysconfig
from find_libpython import find_libpython
if not (sysconfig.get_config_var("Py_ENABLE_SHARED") and find_libpython()):
    print(
        "setup: this Python has no shared libpython, which cocotb needs to simulate Verilog; install"
        " Debian's libpython3.11, or build Python with --enable-shared"
        " (pyenv: PYTHON_CONFIGURE_OPTS=--enable-shared), then remove .venv and run make setup again"
    )
PY
