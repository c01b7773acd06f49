#!/bin/sh
# Installs what the tests need besides Python packages: Redis, HAProxy, nginx, Node.js, Chromium and
# the official JavaScript SDK. Does nothing when everything is there.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/debian.sh"

missing=
command -v redis-server >/dev/null 2>&1 || missing="$missing redis-server"
PATH=$PATH:/usr/sbin command -v haproxy >/dev/null 2>&1 || missing="$missing haproxy"
PATH=$PATH:/usr/sbin command -v nginx >/dev/null 2>&1 || missing="$missing nginx-light"
command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
command -v node >/dev/null 2>&1 || missing="$missing nodejs"
command -v npm >/dev/null 2>&1 || missing="$missing npm"
if [ -n "$missing" ]; then
    echo "installing Debian packages:$missing ..."
    # shellcheck disable=SC2086
    install_packages $missing
fi

modules=$here/../.cache/node
mkdir -p "$modules"
if ! cmp -s "$here/e2e/js/package-lock.json" "$modules/installed.json"; then
    echo "installing the JavaScript SDK ..."
    cp "$here/e2e/js/package.json" "$here/e2e/js/package-lock.json" "$here/e2e/js/.npmrc" "$modules"
    npm ci --prefix "$modules" --silent --no-audit --no-fund --ignore-scripts
    cp "$modules/package-lock.json" "$modules/installed.json"
fi
