#!/usr/bin/env bash
# setup.sh makes a fresh Debian or Ubuntu machine able to build, run and test SecureClaw.
#
#   scripts/setup.sh            install and start what is missing; quick when nothing is
#   scripts/setup.sh --test     the same, and what only the tests need (a C compiler for -race,
#                               Chromium, ip for network namespaces)
#   scripts/setup.sh --check    change nothing, print what is missing; exit 5 when something is
#
# It installs with apt-get as root or through sudo, starts the Docker engine if none answers, and
# makes the base image debian:bookworm-slim: pulled, or built here from Debian's packages when no
# registry can be reached. Progress goes to stderr. It never adds anyone to the docker group:
# that is the same as giving root, so it prints the command and leaves the choice.
#
# Exit: 0 ready · 1 a step failed · 2 usage · 5 something is missing and cannot be installed here
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly repo=${here%/*}
readonly base_image=debian:bookworm-slim
readonly base_suite=bookworm
readonly debian_keys=/usr/share/keyrings/debian-archive-keyring.gpg
readonly engine_wait=60 # seconds a starting engine gets before we give up
readonly engine_log=/var/log/dockerd.log
export PATH="$PATH:/usr/local/go/bin:/usr/sbin:/sbin"

check_only=false
for_tests=false
for arg in "$@"; do
	case $arg in
	--check) check_only=true ;;
	--test) for_tests=true ;;
	-h | --help)
		sed -n '2,/^set -/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
		exit 0
		;;
	*)
		printf 'error: setup.sh does not know %q\n  fix  scripts/setup.sh --help\n' "$arg" >&2
		exit 2
		;;
	esac
done

say() { printf 'setup: %s\n' "$*" >&2; }

# die CODE WHAT WHY FIX ends the script. FIX may have several lines.
die() {
	printf 'error: %s\n  why  %s\n' "$2" "$3" >&2
	local line first='fix'
	while IFS= read -r line; do
		printf '  %-3s  %s\n' "$first" "$line" >&2
		first=''
	done <<<"$4"
	exit "$1"
}

# as_root runs a command with the rights that apt-get and dockerd need.
as_root() {
	if [[ $EUID -eq 0 ]]; then
		"$@"
	else
		sudo -- "$@"
	fi
}

# can_be_root is true when as_root will work: with a terminal, sudo may ask for the password.
can_be_root() {
	[[ $EUID -eq 0 ]] && return 0
	command -v sudo >/dev/null || return 1
	[[ -t 0 ]] || sudo -n true 2>/dev/null
}

# need_root WHAT FIX stops with the commands that somebody with root must run.
need_root() {
	can_be_root && return 0
	die 5 "$1" 'this needs root, and sudo is not available without a password here' "$2"
}

work=''
work_dir() {
	[[ -n $work ]] || work=$(mktemp -d)
}
trap '[[ -z $work ]] || rm -rf "$work"' EXIT

# --- what is missing -------------------------------------------------------------------------

# A docker command says nothing about an engine: the bare client is often there alone. Asking the
# engine for its version is the only honest test; the answer says why when it is no.
engine_answer() { timeout 10 docker version --format '{{.Server.Version}}' 2>&1; }

# want_go is the oldest Go that can build the module, as go.mod states it.
want_go() { awk '$1 == "go" { print $2; exit }' "$repo/go.mod"; }

# at_least A B is true when version A is B or later.
at_least() { printf '%s\n%s\n' "$2" "$1" | sort -V -C; }

# go_ready is true when go builds the module: it is new enough, or may fetch a newer toolchain.
go_ready() {
	local have
	have=$(cd / && GOTOOLCHAIN=local go env GOVERSION 2>/dev/null) || return 1
	have=${have#go}
	at_least "${have%% *}" "$(want_go)" && return 0
	at_least "${have%% *}" 1.21 && (cd "$repo" && go version >/dev/null 2>&1)
}

base_ready() { docker image inspect "$base_image" >/dev/null 2>&1; }

packages=() # to install with apt-get
missing=()  # the same and the rest, in words
look() {
	packages=()
	missing=()
	command -v git >/dev/null || { packages+=(git) && missing+=('git'); }
	command -v rg >/dev/null || { packages+=(ripgrep) && missing+=('ripgrep (rg)'); }
	if $for_tests && ! command -v "${CC:-cc}" >/dev/null; then
		packages+=(gcc libc6-dev)
		missing+=('a C compiler, for go test -race')
	fi
	# The program itself: Debian's /usr/bin/chromium is a script around it.
	if $for_tests && [[ ! -x /usr/lib/chromium/chromium ]]; then
		packages+=(chromium)
		missing+=('Chromium, for the tests of the web executor')
	fi
	if $for_tests && ! command -v ip >/dev/null; then
		packages+=(iproute2)
		missing+=('ip, for tests in network namespaces')
	fi
	go_ready || missing+=("Go $(want_go) or later")

	local answer
	if command -v docker >/dev/null && answer=$(engine_answer); then
		base_ready || missing+=("the base image $base_image")
		return
	fi
	if command -v docker >/dev/null && [[ ${answer,,} == *'permission denied'* ]]; then
		missing+=("the right to use Docker's socket (it is not given to user $(id -un))")
	elif [[ -n ${DOCKER_HOST:-} ]]; then
		missing+=("an answer from the Docker engine at DOCKER_HOST=$DOCKER_HOST")
	elif command -v dockerd >/dev/null && command -v docker >/dev/null; then
		missing+=('a running Docker engine (dockerd is installed)')
	else
		# Recommended packages are left out, so what an engine needs of them is named.
		packages+=(docker.io apparmor ca-certificates)
		missing+=('a Docker engine')
	fi
	missing+=("the base image $base_image, perhaps (no engine to ask)")
}

# --- installing ------------------------------------------------------------------------------

apt_updated=false
# install PACKAGE… installs from the machine's own apt sources, quietly unless it fails.
install() {
	local fix="sudo apt-get update && sudo apt-get install -y --no-install-recommends $*"
	command -v apt-get >/dev/null || die 5 "cannot install $*" \
		'this is not Debian or Ubuntu: there is no apt-get' "install these with your system's package manager: $*"
	need_root "cannot install $*" "$fix"
	work_dir
	if ! $apt_updated; then
		say 'apt-get update'
		# A third party's broken source must not stop us: the install below will tell.
		as_root apt-get update -qq >"$work/apt.log" 2>&1 || say 'apt-get update had errors; going on with what it has'
		apt_updated=true
	fi
	say "apt-get install $* (this can take a minute)"
	as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
		apt-get install -y -qq --no-install-recommends "$@" >>"$work/apt.log" 2>&1 ||
		die 1 "apt-get could not install $*" "$(tail -n 3 "$work/apt.log")" "$fix"
}

# known PACKAGE is true when apt can install it here.
known() { [[ -n $(apt-cache policy "$1" 2>/dev/null | awk '$1 == "Candidate:" && $2 != "(none)"') ]]; }

install_missing() {
	[[ ${#packages[@]} -gt 0 ]] || return 0
	install "${packages[@]}"
	if ! command -v docker >/dev/null && known docker-cli; then
		install docker-cli # newer Debian keeps the client in a package of its own
	fi
	hash -r
}

# ensure_go accepts a Go that can fetch the wanted toolchain; Debian's is taken if it is that new.
ensure_go() {
	go_ready && return 0
	local want candidate
	want=$(want_go)
	if ! command -v go >/dev/null && can_be_root; then
		candidate=$(apt-cache policy golang-go 2>/dev/null | sed -n 's/.*Candidate: \(2:\)\{0,1\}\([0-9.]*\).*/\2/p')
		if [[ -n $candidate ]] && at_least "$candidate" 1.21; then
			install golang-go
			say "go fetches the toolchain $want that go.mod asks for"
			go_ready && return 0
		fi
	fi
	local arch
	arch=$(dpkg --print-architecture 2>/dev/null || uname -m)
	die 5 "Go $want or later is missing" \
		"found: $(GOTOOLCHAIN=local go version 2>/dev/null || echo none); Debian's own golang is too old" \
		"curl -fsSL https://go.dev/dl/go$want.linux-${arch/x86_64/amd64}.tar.gz | sudo tar -C /usr/local -xz"
}

# --- the Docker engine -----------------------------------------------------------------------

# mount_cgroups gives the engine its control groups on a machine whose init did not.
mount_cgroups() {
	grep -q ' cgroup2\{0,1\} ' /proc/mounts && return 0
	command -v cgroupfs-mount >/dev/null || install cgroupfs-mount
	say 'mounting the control groups'
	as_root cgroupfs-mount
}

start_engine() {
	if [[ -d /run/systemd/system ]]; then
		say 'starting the Docker engine: systemctl start docker'
		need_root 'the Docker engine is not running' 'sudo systemctl enable --now docker'
		as_root systemctl start docker || die 1 'the Docker engine does not start' \
			"$(systemctl is-active docker 2>&1 || true)" 'sudo journalctl -u docker -n 30'
		return
	fi
	# Installing the package may have started it already.
	local pid
	if pid=$(cat /run/docker.pid 2>/dev/null) && [[ $(cat "/proc/$pid/comm" 2>/dev/null) == dockerd ]]; then
		return
	fi
	need_root 'the Docker engine is not running' "sudo setsid nohup dockerd >$engine_log 2>&1 &"
	mount_cgroups
	say "starting the Docker engine: dockerd (log: $engine_log)"
	# The engine must outlive this script and its terminal.
	# shellcheck disable=SC2016 # $1 belongs to the inner shell
	as_root sh -c 'setsid nohup dockerd >>"$1" 2>&1 </dev/null &' sh "$engine_log"
}

ensure_engine() {
	local answer
	answer=$(engine_answer) && return 0
	if [[ ${answer,,} == *'permission denied'* ]]; then
		die 5 'Docker is not reachable: permission denied' "user $(id -un) is not in the group docker" \
			"sudo usermod -aG docker $(id -un) && newgrp docker"
	fi
	if [[ -n ${DOCKER_HOST:-} ]]; then
		die 5 "Docker is not reachable at DOCKER_HOST=$DOCKER_HOST" "$(tail -n 1 <<<"$answer")" \
			'start that engine, or: unset DOCKER_HOST'
	fi
	start_engine
	local deadline=$((SECONDS + engine_wait))
	until answer=$(engine_answer); do
		if [[ ${answer,,} == *'permission denied'* ]]; then
			ensure_engine # it runs now, but not for this user: says so and ends
		fi
		if ((SECONDS >= deadline)); then
			[[ ! -r $engine_log ]] || tail -n 15 "$engine_log" >&2
			die 1 "the Docker engine did not answer within $engine_wait seconds" "$(tail -n 1 <<<"$answer")" \
				"sudo dockerd   # in another terminal, to see why"
		fi
		sleep 0.2
	done
	say "Docker engine $answer answers"
}

# --- the base image --------------------------------------------------------------------------

# apt_options prints the machine's proxy and clock settings for apt, without which a mirror that
# this machine reaches may be out of reach for the build.
apt_options() {
	apt-config dump --no-empty --format '%f "%v";%n' \
		Acquire::http::Proxy Acquire::https::Proxy Acquire::Check-Valid-Until 2>/dev/null
}

# mirrors prints the machine's own Debian mirrors as sources of the base suite: on Debian the
# nearest mirror is known already; elsewhere, and for mirrors over https (the minimal system has
# no certificates), nothing is printed and deb.debian.org is used. The packages are signed.
mirrors() {
	local line uri suite codename component label release
	release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
	# shellcheck disable=SC2016 # $(…) is apt's, not the shell's
	apt-get indextargets --format '$(CREATED_BY) $(REPO_URI) $(CODENAME) $(COMPONENT) $(LABEL)' 2>/dev/null |
		while read -r line uri codename component label; do
			[[ $line == Packages && $component == main && $label == Debian* ]] || continue
			[[ $uri == http://* && $codename == "$release"* ]] || continue
			suite=$base_suite${codename#"$release"}
			case $suite in
			"$base_suite" | "$base_suite-updates" | "$base_suite-security")
				printf 'deb [signed-by=%s] %s %s main\n' "$debian_keys" "$uri" "$suite"
				;;
			esac
		done | sort -u
}

# build_base makes the image from Debian's signed packages: what the registry's image is made of,
# without documentation in other languages.
build_base() {
	need_root "cannot build $base_image" "sudo $0"
	if ! command -v mmdebstrap >/dev/null || [[ ! -e $debian_keys ]]; then
		install mmdebstrap debian-archive-keyring
	fi
	work_dir
	local options=() sources=() line dir
	while IFS= read -r line; do
		[[ -z $line ]] || options+=("--aptopt=$line")
	done < <(apt_options)
	for dir in doc man info locale lintian groff; do
		options+=("--dpkgopt=path-exclude=/usr/share/$dir/*")
	done
	mirrors >"$work/sources.list"
	[[ ! -s $work/sources.list ]] || sources=("$work/sources.list")

	say "building $base_image from Debian's packages (about half a minute)"
	# The tar goes through a file: a broken pipe must not leave half an image under this name.
	if ! as_root mmdebstrap --quiet --variant=minbase --components=main \
		--aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
		--dpkgopt='path-include=/usr/share/doc/*/copyright' "${options[@]}" \
		"$base_suite" - "${sources[@]}" \
		>"$work/base.tar" 2>"$work/base.log"; then
		tail -n 15 "$work/base.log" >&2
		die 1 "could not build $base_image" 'mmdebstrap failed (its last lines are above)' \
			"docker pull $base_image   # on a network that reaches a registry"
	fi
	docker import --change 'CMD ["bash"]' "$work/base.tar" "$base_image" >/dev/null
}

ensure_base() {
	base_ready && return 0
	say "pulling $base_image"
	# Without a registry this fails at once or hangs until the timeout; a real pull is 30 MB.
	if timeout --kill-after=5 90 docker pull --quiet "$base_image" >/dev/null 2>&1; then
		return 0
	fi
	say 'no registry can be reached'
	build_base
	base_ready || die 1 "$base_image is still missing" 'the engine took the import but does not list it' 'docker images'
}

# ---------------------------------------------------------------------------------------------

look
if [[ ${#missing[@]} -eq 0 ]]; then
	say 'everything is here'
	exit 0
fi
if $check_only; then
	printf 'missing: %s\n' "${missing[@]}"
	printf '    fix: %s\n' "$0"
	exit 5
fi
install_missing
ensure_go
ensure_engine
ensure_base
say 'ready'
