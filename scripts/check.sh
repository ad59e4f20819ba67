#!/usr/bin/env bash
# check.sh runs every check of the tree, goes on after a failure, and ends with a summary.
#
#   scripts/check.sh            all that needs no Docker engine
#   scripts/check.sh --docker   with the tests that do (build tag docker)
#
# Exit: 0 all passed · 1 something failed · 2 usage
# shellcheck disable=SC2317,SC2329 # step calls the functions by name
set -uo pipefail # no -e: a failed check is counted, not the end

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.." || exit 1
export PATH="$PATH:/usr/local/go/bin"

# The tools run in their pinned versions, outside go.mod: what checks the program is no part of it.
readonly staticcheck=honnef.co/go/tools/cmd/staticcheck@v0.8.2
readonly govulncheck=golang.org/x/vuln/cmd/govulncheck@v1.9.0
readonly test_timeout=25m # of one package; a hang must end before CI's patience does

tags=()
case ${1:-} in
'') ;;
--docker) tags=(-tags docker) ;;
*)
	printf 'error: check.sh does not know %q\n  fix  scripts/check.sh [--docker]\n' "$1" >&2
	exit 2
	;;
esac

work=$(mktemp -d)
touch "$work/others" "$work/engine"
trap 'rm -rf "$work"' EXIT

summary=()
failed=0
# step NAME COMMAND… runs one check. A check that could not be made returns 77 and says why in
# $work/why: it is reported, and neither passes nor fails the run.
step() {
	local name=$1 began=$SECONDS verdict=ok code=0
	shift
	printf '== %s\n' "$name"
	"$@" || code=$?
	if [[ $code -eq 77 ]]; then
		verdict=-
		name+=": $(<"$work/why")"
	elif [[ $code -ne 0 ]]; then
		verdict=FAIL
		failed=1
	fi
	summary+=("$(printf '%-4s  %4d s  %s' "$verdict" $((SECONDS - began)) "$name")")
}

formatted() {
	local bad
	bad=$(git ls-files -z --cached --others --exclude-standard -- '*.go' | xargs -0r gofmt -l 2>&1)
	[[ -z $bad ]] || {
		printf 'not formatted; fix: gofmt -w\n%s\n' "$bad"
		return 1
	}
}

# go run turns every failure into 1, so an unreachable database is known by its words alone; they
# stand at the start of a line, where no finding puts them.
vulnerabilities() {
	go run "$govulncheck" "${tags[@]}" ./... >"$work/vuln" 2>&1 && return 0
	if grep -q '^govulncheck: fetching vulnerabilities: ' "$work/vuln"; then
		echo 'database unreachable, not checked' >"$work/why"
		return 77
	fi
	cat "$work/vuln"
	return 1
}

# tests PARALLEL PACKAGE… shows what go test prints, and keeps it for the summary.
# Its own small vet is left out: the steps above did all of it on the same files, and it would be done
# again for every package and all that it imports, as the race detector's build is another one.
tests() {
	local parallel=$1
	shift
	go test -race -vet=off "${tags[@]}" -p "$parallel" -timeout "$test_timeout" "$@" 2>&1 | tee -a "$work/test"
	return "${PIPESTATUS[0]}"
}

# list sorts the packages into those with tests against a real engine and the others. The first
# run one at a time: what they measure and starve (memory, processes, deadlines) belongs to all.
list() {
	go list "${tags[@]}" -f '{{.ImportPath}} {{.TestGoFiles}} {{.XTestGoFiles}}' ./... >"$work/list" || return 1
	awk '/_docker_test\.go/ { print $1 }' "$work/list" >"$work/engine"
	awk '!/_docker_test\.go/ { print $1 }' "$work/list" >"$work/others"
}

step 'gofmt' formatted
step 'go vet' go vet ./...
step 'go vet -tags docker' go vet -tags docker ./...
step 'staticcheck' go run "$staticcheck" "${tags[@]}" ./...
step 'govulncheck' vulnerabilities
step 'go mod tidy -diff' go mod tidy -diff

step 'go list' list # without the list nothing is tested, and this step fails the run
mapfile -t others <"$work/others"
mapfile -t alone <"$work/engine"
if [[ ${#others[@]} -gt 0 ]]; then
	step 'go test -race' tests 2 "${others[@]}"
fi
# Deaths that do not happen would prove nothing.
step 'go test -tags failpoint' go test -tags failpoint -count=1 -run '^TestFailpoint' ./cmd/secureclaw/
if [[ ${#alone[@]} -gt 0 ]]; then
	step 'go test -race, against the Docker engine' tests 1 "${alone[@]}"
fi

printf '\n== summary\n'
if [[ -s $work/test ]]; then
	grep -E '^(ok|FAIL)[[:space:]]+[a-z]|^(---|    ---) FAIL|^panic:' "$work/test"
	awk '$1 == "ok" { ok++ } /^FAIL[[:space:]]+[a-z]/ { bad++ } $1 == "?" || /\[no test files\]/ { none++ }
		END { printf "go test: %d packages ok, %d failed, %d without tests\n", ok, bad, none }' "$work/test"
fi
printf '%s\n' "${summary[@]}"
exit "$failed"
