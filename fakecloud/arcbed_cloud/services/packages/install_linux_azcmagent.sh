#!/bin/bash
# Installs or upgrades the Connected Machine agent of an arcbed testbed, as Microsoft's article "Connect hybrid machines
# to Azure using a deployment script" describes. Whatever goes wrong, the exit code is 1: which step failed is in the
# file that --output names, and in the telemetry that goes to the identity service.

readonly IMDS_ADDRESS="${ARC_IMDS_ADDRESS:-169.254.169.254}"
readonly PACKAGES="https://packages.microsoft.com"
readonly LOCK_TRIES=30
readonly LOCK_SECONDS="${ARC_INSTALL_LOCK_SECONDS:-10}"

proxy=
proxy_given=
output=
alternate=
desired=
his_endpoint=
temp_dir=/tmp

usage() {
    cat <<'USAGE'
Usage: install_linux_azcmagent.sh [options]

  -p, --proxy URL          use this proxy for downloads and for the agent; "" takes the agent's proxy away
  -o, --output FILE        write the result to FILE, as JSON
  -a, --altdownload URL    install the package at URL (.deb or .rpm) instead of the repository's
      --desiredversion V   install this version, 1.67 or 1.67.0.0
      --althisendpoint URL the identity service of a cloud that has no well-known one
      --tempdir DIR        for downloads; default /tmp
  -h, --help               show this
USAGE
}

# -- how it ends ----------------------------------------------------------------------------------------------------

# A text as the inside of a JSON string.
escaped() {
    printf '%s' "$1" | tr -d '\000-\010\013-\037' | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/\t/ /g' |
        awk '{ printf "%s%s", separator, $0; separator = "\\n" }'
}

his_of_cloud() {
    case "${cloud:-AzureCloud}" in
        AzureCloud) echo "https://gbl.his.arc.azure.com" ;;
        AzureUSGovernment) echo "https://gbl.his.arc.azure.us" ;;
        AzureChinaCloud) echo "https://gbl.his.arc.azure.cn" ;;
        *) echo "" ;;
    esac
}

# Tell the service what failed. Best effort: the answer is of no interest.
tell() {
    local code=$1 message=$2 endpoint body operation=onboarding
    endpoint=${his_endpoint:-$(his_of_cloud)}
    [ -n "$endpoint" ] || return 0
    [ -z "$desired" ] || operation=upgrading
    body=$(printf '{"subscriptionId":"%s","resourceGroup":"%s","tenantId":"%s","location":"%s","correlationId":"%s"' \
        "$(escaped "$subscriptionId")" "$(escaped "$resourceGroup")" "$(escaped "$tenantId")" \
        "$(escaped "$location")" "$(escaped "$correlationId")")
    body+=$(printf ',"authType":"%s","namespace":"%s","osType":"linux","operation":"%s","messageType":"%s","message":"%s"}' \
        "$(escaped "$authType")" "$(escaped "${namespace:-Microsoft.HybridCompute}")" "$operation" "$code" \
        "$(escaped "${message:0:500}")")
    if command -v curl >/dev/null 2>&1; then
        curl -s --max-time 10 -X PUT -d "$body" "$endpoint/log" >/dev/null 2>&1
    elif command -v wget >/dev/null 2>&1; then
        wget -qO- --timeout=10 --tries=1 --method=PUT --body-data="$body" "$endpoint/log" >/dev/null 2>&1
    fi
    return 0
}

fail() {
    local code=$1 message=$2
    echo "$message" >&2
    if [ -n "$output" ]; then
        printf '{"status":"failed","error":{"code":"AZCM%04d","message":"%s"}}\n' "$code" "$(escaped "$message")" > "$output"
    fi
    tell "$code" "$message"
    exit 1
}

succeed() {
    echo "$1"
    if [ -n "$output" ]; then
        printf '{"status":"success","message":"%s"}\n' "$(escaped "$1")" > "$output"
    fi
    exit 0
}

# -- tools ----------------------------------------------------------------------------------------------------------

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo -E "$@"
    fi
}

# download URL FILE; the exit code is curl's or wget's.
download() {
    if [ "$downloader" = curl ]; then
        curl -fsSL --retry 2 -o "$2" "$1"
    else
        wget -q -O "$2" "$1"
    fi
}

choose_downloader() {
    if command -v curl >/dev/null 2>&1; then
        downloader=curl
    elif command -v wget >/dev/null 2>&1; then
        downloader=wget
    else
        echo "Installing curl ..."
        case "$(package_manager)" in
            apt) with_apt_lock apt-get update -q && with_apt_lock apt-get install -y -q curl ;;
            "") false ;;
            *) as_root "$(package_manager)" -y install curl ;;
        esac || fail 143 "Neither curl nor wget is there, and curl could not be installed."
        downloader=curl
    fi
}

package_manager() {
    local name
    for name in apt-get zypper tdnf dnf yum; do
        if command -v $name >/dev/null 2>&1; then
            echo "${name%-get}"
            return
        fi
    done
}

# Run a program that takes dpkg's lock; another one may hold it for up to five minutes.
with_apt_lock() {
    local try said status
    for ((try = 1; try <= LOCK_TRIES; try++)); do
        said=$(DEBIAN_FRONTEND=noninteractive as_root "$@" 2>&1)
        status=$?
        if [ $status = 0 ] || ! grep -q -e 'Could not get lock' -e 'Unable to acquire the dpkg' -e 'Unable to lock' <<< "$said"; then
            echo "$said"
            return $status
        fi
        echo "Another package manager is at work; waiting ($try of $LOCK_TRIES) ..."
        sleep "$LOCK_SECONDS"
    done
    fail 145 "The lock of apt and dpkg stayed busy. Try again when the other installation is done."
}

# -- checks ---------------------------------------------------------------------------------------------------------

parse() {
    while [ $# -gt 0 ]; do
        case "$1" in
            -p|--proxy) proxy=$2; proxy_given=yes; shift ;;
            -o|--output) output=$2; shift ;;
            -a|--altdownload) alternate=$2; shift ;;
            --desiredversion) desired=$2; shift ;;
            --althisendpoint) his_endpoint=${2%/}; shift ;;
            --tempdir) temp_dir=${2%/}; shift ;;
            -h|--help) usage; exit 0 ;;
            *) usage >&2; fail 129 "Unrecognized argument: $1" ;;
        esac
        shift
    done
    if [ ! -d "$temp_dir" ] || [ ! -w "$temp_dir" ]; then
        fail 129 "The directory for temporary files, $temp_dir, cannot be written."
    fi
    if [ -n "$proxy" ]; then
        export http_proxy=$proxy https_proxy=$proxy
    fi
}

check_platform() {
    local memory
    memory=$(awk '/^MemTotal:/ { printf "%d", $2 / 1024 }' /proc/meminfo 2>/dev/null)
    echo "Total physical memory: ${memory:-unknown} MB"
    command -v systemctl >/dev/null 2>&1 || fail 130 "systemctl is not in the path; the agent needs systemd."
    architecture=$(uname -m)
    case "$architecture" in
        x86_64|aarch64) ;;
        *) fail 132 "The platform $architecture is not supported." ;;
    esac
}

find_distribution() {
    if [ -r /etc/os-release ]; then
        distribution=$(. /etc/os-release && echo "${ID%_sap}")
        version=$(. /etc/os-release && echo "$VERSION_ID")
    elif command -v lsb_release >/dev/null 2>&1; then
        distribution=$(lsb_release -si | tr '[:upper:]' '[:lower:]')
        version=$(lsb_release -sr)
    fi
    if [ -z "$distribution" ] || [ -z "$version" ]; then
        fail 131 "The Linux distribution could not be identified."
    fi
    repository=
    case "$distribution:$version" in
        ubuntu:18.04|ubuntu:20.04|ubuntu:22.04|ubuntu:24.04) repository=ubuntu/$version ;;
        debian:11|debian:12|debian:13) repository=debian/$version ;;
        rhel:*|ol:*|rocky:*|almalinux:*|centos:*)
            case "${version%%.*}" in 7|8|9|10) repository=rhel/${version%%.*} ;; esac ;;
        sles:12*|sles:15*) repository=sles/${version%%.*} ;;
        amzn:2|amzn:2023) repository=amazonlinux/$version ;;
    esac
    [ -n "$repository" ] || fail 133 "Linux distribution $distribution $version is not supported."
    manager=$(package_manager)
    [ -n "$manager" ] || fail 133 "There is no package manager that this script knows."
}

is_azure_vm() {
    local url="http://$IMDS_ADDRESS/metadata/instance/compute?api-version=2019-06-01"
    if [ "$downloader" = curl ]; then
        curl -sf --noproxy '*' --max-time 1 -H 'Metadata: true' -o /dev/null "$url"
    else
        wget -q --no-proxy --timeout=1 --tries=1 --header='Metadata: true' -O /dev/null "$url"
    fi
}

check_azure() {
    is_azure_vm || return 0
    if [ "$MSFT_ARC_TEST" = true ] || systemctl show-environment 2>/dev/null | grep -qx 'MSFT_ARC_TEST=true'; then
        echo "WARNING: this is an Azure virtual machine. Going on because MSFT_ARC_TEST=true; for tests only."
        return 0
    fi
    fail 141 "Cannot install Azure Connected Machine agent on an Azure virtual machine."
}

# -- installation ---------------------------------------------------------------------------------------------------

install_alternate() {
    local file status
    case "$manager:$alternate" in
        apt:*.deb|zypper:*.rpm|tdnf:*.rpm|dnf:*.rpm|yum:*.rpm) ;;
        apt:*) fail 128 "--altdownload names no .deb, which this system needs." ;;
        *) fail 127 "--altdownload names no .rpm, which this system needs." ;;
    esac
    file="$temp_dir/$(basename "$alternate")"
    download "$alternate" "$file"
    status=$?
    [ $status != 23 ] || [ "$downloader" != curl ] || fail 157 "curl may not write to $temp_dir."
    [ $status = 0 ] || fail 142 "The package at $alternate could not be downloaded."
    case "$manager" in
        apt) with_apt_lock apt-get install -y -q "$file" ;;
        zypper) as_root zypper --non-interactive --no-gpg-checks install "$file" ;;
        *) as_root "$manager" -y install "$file" ;;
    esac || fail 143 "$manager could not install $file."
}

# get_repository_file NAME: one of the repository's configuration files, in $temp_dir.
get_repository_file() {
    local url="$PACKAGES/config/$repository/$1" status
    download "$url" "$temp_dir/$1"
    status=$?
    [ $status != 23 ] || [ "$downloader" != curl ] || fail 157 "curl may not write to $temp_dir."
    [ $status = 0 ] || fail 146 "The repository's configuration could not be downloaded from $url."
}

add_repository() {
    case "$manager" in
        apt)
            get_repository_file packages-microsoft-prod.deb
            with_apt_lock dpkg -i "$temp_dir/packages-microsoft-prod.deb" ||
                fail 143 "The repository's configuration could not be installed."
            with_apt_lock apt-get update -q || fail 143 "apt-get update failed."
            ;;
        zypper)
            get_repository_file prod.repo
            as_root install -m 0644 "$temp_dir/prod.repo" /etc/zypp/repos.d/microsoft-prod.repo
            as_root zypper --gpg-auto-import-keys --non-interactive refresh packages-microsoft-com-prod ||
                fail 143 "zypper refresh failed."
            ;;
        *)
            get_repository_file prod.repo
            as_root install -m 0644 "$temp_dir/prod.repo" /etc/yum.repos.d/microsoft-prod.repo
            ;;
    esac
}

# The repository's name for the newest version that begins with the one that was asked for.
matching_version() {
    case "$manager" in
        apt) apt-cache madison azcmagent | awk '{ print $3 }' ;;
        zypper) zypper --non-interactive search -s --match-exact azcmagent | awk -F'|' '/azcmagent/ { gsub(/ /, "", $4); print $4 }' ;;
        *) as_root "$manager" -q -y list --showduplicates azcmagent 2>/dev/null | awk '/^azcmagent/ { print $2 }' ;;
    esac | awk -v wanted="$desired" '{ dotted = $1; gsub(/-/, ".", dotted) }
        dotted == wanted || index(dotted, wanted ".") == 1' | sort -V | tail -n 1
}

install_from_repository() {
    local package=azcmagent found
    if [ -n "$desired" ]; then
        found=$(matching_version)
        [ -n "$found" ] || fail 147 "Version $desired of the agent is not in the repository."
        case "$manager" in
            apt|zypper) package="azcmagent=$found" ;;
            *) package="azcmagent-$found" ;;
        esac
    fi
    case "$manager" in
        apt) with_apt_lock apt-get install -y -q --allow-downgrades "$package" ;;
        zypper) as_root zypper --non-interactive install --oldpackage "$package" ;;
        *) as_root "$manager" -y install "$package" ;;
    esac || fail 143 "$manager could not install $package."
}

set_proxy() {
    if [ -n "$proxy" ]; then
        as_root azcmagent config set proxy.url "$proxy"
    elif [ -n "$proxy_given" ]; then
        as_root azcmagent config clear proxy.url
    fi
}

parse "$@"
choose_downloader
check_platform
find_distribution
check_azure
if [ -n "$alternate" ]; then
    install_alternate
else
    add_repository
    install_from_repository
fi
set_proxy
if [ -n "$desired" ]; then
    succeed "Version $desired of azcmagent is installed."
fi
succeed "Latest version of azcmagent is installed."
