#!/usr/bin/env bash
# dev.sh builds and starts SecureClaw, and does it again after every change, until Ctrl-C. A build
# that fails leaves the running one alone. It needs no other tool: it looks at the files' times
# every second, or waits for the kernel's word where inotifywait is installed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."
readonly watched=(cmd gateway runner bridge executor internal images config go.mod go.sum)

say() { printf 'dev: %s\n' "$*" >&2; }

up=''
stop() {
	[[ -n $up ]] || return 0
	kill -TERM "$up" 2>/dev/null || true
	wait "$up" 2>/dev/null || true
	up=''
}
stamp=$(mktemp)
trap 'stop; rm -f "$stamp"' EXIT
trap 'exit 0' INT TERM

restart() {
	if make --no-print-directory build && images/build.sh; then
		stop
		bin/secureclaw up &
		up=$!
	else
		say 'the build failed; waiting for the next change'
	fi
}

# present prints the watched paths that exist: find and inotifywait end at one that does not.
present() {
	local path
	for path in "${watched[@]}"; do
		[[ ! -e $path ]] || printf '%s\n' "$path"
	done
}

# changed is true when a source is newer than the last build. A deletion changes its folder.
changed() {
	local paths
	mapfile -t paths < <(present)
	[[ -n $(find "${paths[@]}" -newer "$stamp" ! -name '.*' ! -name '*~' ! -name '*_test.go' -print -quit) ]]
}

wait_for_change() {
	local paths
	until changed; do
		if command -v inotifywait >/dev/null; then
			mapfile -t paths < <(present)
			inotifywait -qq -r -t 5 -e close_write,move,delete,create "${paths[@]}" || true
		else
			sleep 1
		fi
	done
}

while true; do
	touch "$stamp" # before the build: a change during it counts
	restart
	wait_for_change
	say 'a source changed'
done
