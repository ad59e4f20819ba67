#!/usr/bin/env bash
# chaos.sh kills SecureClaw's processes at random while fake users talk to it on a fake Telegram, and
# checks that nothing happened twice, nothing was lost and every unknown end was told.
#
#   scripts/chaos.sh                1000 kills, a random seed
#   scripts/chaos.sh 200            so many
#   scripts/chaos.sh 200 42         with this seed: the same victims, steps and pauses again
#   CHAOS_RACE=1 scripts/chaos.sh   processes that look for data races, slower
#
# Exit: 0 every promise held · 1 one did not · 2 usage
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/local/go/bin"

kills=${1:-${CHAOS_KILLS:-1000}} seed=${2:-${CHAOS_SEED:-}}
if [[ ! $kills =~ ^[1-9][0-9]*$ || ! $seed =~ ^[0-9]*$ || $# -gt 2 ]]; then
	printf 'error: kills and seed are whole numbers\n  fix  scripts/chaos.sh [KILLS [SEED]]\n' >&2
	exit 2
fi
# Deaths that do not happen would prove nothing.
go test -tags failpoint -count=1 -run '^TestFailpoint$' ./cmd/secureclaw/
# The slowest machine makes ten kills in a minute; a hang must end all the same.
export CHAOS_KILLS=$kills CHAOS_SEED=$seed
exec go test -tags docker -count=1 -timeout "$((kills / 10 + 10))m" -run '^TestChaos$' -v ./e2e/
