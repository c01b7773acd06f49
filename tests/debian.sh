# Installs Debian packages, as root or through sudo; says what to install when neither is possible.
install_packages() {
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "please install: $*" >&2
        return 1
    fi
    as_root=
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null 2>&1; then
            echo "please install as root: apt-get install $*" >&2
            return 1
        fi
        as_root=sudo
    fi
    $as_root apt-get update -qq
    # The tests start their own servers: what is installed need not run (RUNLEVEL, invoke-rc.d).
    $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "$@" \
        >/dev/null
}
