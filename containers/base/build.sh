#!/usr/bin/env bash
# Makes the base image where no registry is reachable: Debian by debootstrap, with Debian's own python3.
# It stands in for python:3.11-slim-bookworm, the default BASE_IMAGE of the Dockerfiles for everybody else.
#
#   containers/base/build.sh [TAG]     needs root, debootstrap and a running engine; about a minute
set -euo pipefail

tag=${1:-arcbed/base:debian12}
suite=bookworm
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
security=${DEBIAN_SECURITY_MIRROR:-http://deb.debian.org/debian-security}

[ "$(id -u)" = 0 ] || { echo "debootstrap needs root: run this with sudo." >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "debootstrap is missing: apt-get install debootstrap" >&2; exit 1; }

root=$(mktemp -d "${TMPDIR:-/tmp}/arcbed-base.XXXXXX")
trap 'rm -rf "$root"' EXIT
chmod 0755 "$root"

debootstrap --variant=minbase --include=ca-certificates,netbase,python3,tzdata "$suite" "$root" "$mirror" \
  >"$root.log" 2>&1 || { tail -20 "$root.log" >&2; echo "debootstrap failed; its log: $root.log" >&2; exit 1; }
rm -f "$root.log"

cat >"$root/etc/apt/sources.list" <<LIST
deb $mirror $suite main
deb $mirror $suite-updates main
deb $security $suite-security main
LIST
# As Debian's own container images: no service starts at install, nothing that only a terminal wants is kept.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" && chmod 0755 "$root/usr/sbin/policy-rc.d"
cat >"$root/etc/dpkg/dpkg.cfg.d/01_arcbed" <<'DPKG'
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
force-unsafe-io
DPKG
echo 'Acquire::Languages "none";' >"$root/etc/apt/apt.conf.d/01_arcbed"
echo 'APT::Install-Recommends "false";' >>"$root/etc/apt/apt.conf.d/01_arcbed"

cp --remove-destination /etc/resolv.conf "$root/etc/resolv.conf"
chroot "$root" sh -ec 'apt-get update -q; DEBIAN_FRONTEND=noninteractive apt-get upgrade -qy; apt-get clean' >/dev/null 2>&1

find "$root/usr/share/doc" -type f ! -name copyright -delete
find "$root/usr/share/doc" -type l -delete
rm -rf "$root"/usr/share/{info,man,locale,lintian}/* "$root"/var/{cache,log}/* "$root"/var/lib/apt/lists/* \
  "$root"/tmp/* "$root"/etc/{resolv.conf,hostname,machine-id} "$root"/usr/lib/python3*/test
find "$root" -name __pycache__ -type d -prune -exec rm -rf {} +
mkdir -p "$root"/var/cache/apt/archives/partial "$root"/var/log/apt
: >"$root/etc/machine-id"

tar --numeric-owner --sort=name -C "$root" -c . | docker import \
  --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8' \
  --change 'CMD ["bash"]' \
  --change 'LABEL dev.arcbed=true' \
  --change "LABEL org.opencontainers.image.title=$tag" \
  --change "LABEL org.opencontainers.image.version=debian-$(cat "$root/etc/debian_version")" \
  - "$tag" >/dev/null
docker image inspect --format "$tag {{.Size}} bytes" "$tag"
