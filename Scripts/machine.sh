# Installs another Debian in a folder, for tests of installations. Source this file after common.sh; do not run it.
# shellcheck shell=bash
# shellcheck disable=SC2154 # the caller sets machine and logs

# Prints this machine's apt sources of Debian packages, as lines of sources.list.
debian_sources() {
    local suite
    suite="$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)"
    # shellcheck disable=SC2016 # apt replaces these
    apt-get indextargets --format '$(CREATED_BY) deb $(REPO_URI) $(RELEASE) $(COMPONENT) $(LABEL)' |
        awk -v suite="$suite" '$1 == "Packages" && index($4, suite) == 1 && $6 ~ /^Debian/ { print $2, $3, $4, $5 }' |
        sort --unique
}

# Installs a minimal Debian in the folder $machine, with a log in the folder $logs.
install_debian() {
    local sources suite mirror
    sources="$(debian_sources)"
    suite="$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)"
    mirror="$(awk -v suite="$suite" '$3 == suite { print $2; exit }' <<<"$sources")"
    [[ -n $mirror ]] || fail "apt has no source of Debian packages. This must be Debian; run 'apt-get update'."
    say "machine: installing Debian $suite in $machine"
    debootstrap --variant=minbase "$suite" "$machine" "$mirror" >"$logs/debootstrap.log" 2>&1 ||
        { cat "$logs/debootstrap.log" >&2 && exit 1; }
    printf '%s\n' "$sources" >"$machine/etc/apt/sources.list"
    # Copies apt's settings for access to the sources, such as a proxy.
    apt-config dump | grep '^Acquire::' | grep --invert-match 'IndexTargets\|Proxy-Auto-Detect\|Changelogs' \
        >"$machine/etc/apt/apt.conf.d/90this-machine"
    cp --dereference /etc/resolv.conf /etc/hosts "$machine/etc/"
    mount -t proc proc "$machine/proc"
    mount -t tmpfs tmpfs "$machine/dev/shm"
}
