#!/bin/sh
# Creates a virtual environment; on a Debian without python3-venv, installs that first.
set -eu
python=$1
venv=$2
"$python" - <<'CHECK' || { echo "wsmesh needs Python 3.11 or newer; set PYTHON=..." >&2; exit 1; }
import sys
sys.exit(sys.version_info < (3, 11))
CHECK
if "$python" -m venv "$venv" >/dev/null 2>&1; then
    exit 0
fi
rm -rf "$venv"
echo "installing python3-venv ..."
. "$(dirname "$0")/debian.sh"
install_packages python3-venv
"$python" -m venv "$venv"
