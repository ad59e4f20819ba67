#!/usr/bin/env bash
# Measures SecureClaw on this machine and writes docs/benchmarks.md and docs/benchmarks.svg. Takes some
# ten minutes; a quiet machine gives better figures, ratios hold on a busy one too.
#
#   BENCH_COUNT=10 make bench            fewer calls of each kind than 50
#   BENCH_PARTS='calls pages' make bench only these; nothing is written, figures go to stdout
#
# Parts: calls parts telegram pages memory question.
set -euo pipefail
cd "$(dirname "$0")/.."

count=${BENCH_COUNT:-50}
all='calls parts telegram pages memory question'
parts=${BENCH_PARTS:-$all}
out=docs/benchmarks.md
drawn=docs/benchmarks.svg
raw=$(mktemp)
picture=$(mktemp)
said=$(mktemp)
trap 'rm -f "$raw" "$picture" "$said"' EXIT

say() { printf 'bench: %s\n' "$*" >&2; }

# run PACKAGE PATTERN TIME: benchmarks of one package, its result lines added to $raw.
run() {
	say "$1 $2"
	printf '# %s\n' "$1" >>"$raw"
	# One that fails leaves its figures out, and not those of the others.
	go test -run '^$' -bench "$2" -benchtime "$3" -tags docker "./$1" >"$said" || { say "failed: $1 $2"; tail -n 5 "$said" >&2; }
	grep -E '^Benchmark' "$said" | sed -E 's/-[0-9]+[[:space:]]/ /' >>"$raw" || true
}

# metric NAME UNIT: the figure of a benchmark that stands before its unit.
metric() {
	awk -v name="$1" -v unit="$2" '$1 == name { for (i = 2; i < NF; i++) if ($(i + 1) == unit) { print $i; exit } }' "$raw"
}

few=$((count < 15 ? count : 15))

part_calls() {
	say "whole calls, $count of each kind"
	table=$(bin/secureclaw bench -n "$count" --pages "$few" --svg "$picture")
}
part_parts() {
	run gateway/internal/gate 'BenchmarkRun' 1s
	run gateway/internal/audit 'Benchmark(Append64|Raw64|Append1|Raw1|Verify)$' 2s
	run internal/capability 'Benchmark(Mint|Verify)$' 1s
	run runner 'BenchmarkVerifyClip$' 1s
	run runner/internal/sandbox 'BenchmarkRun$' "${count}x"
}
part_telegram() { run e2e 'BenchmarkTelegramMessage' "${few}x"; }
part_pages() {
	run runner 'BenchmarkBrowse$' "${few}x"
	run runner/internal/sandbox 'BenchmarkTunnel$' 5x
	run runner/internal/egress 'BenchmarkConnect' 1s
}
part_memory() { run gateway/internal/sqlite 'BenchmarkMemories' 400x; }
part_question() { run gateway 'Benchmark(Message|Delta)' 300x; }

table=
for part in $parts; do
	[[ " $all " == *" $part "* ]] || {
		printf 'error: bench.sh knows no part %q\n  fix  one or more of: %s\n' "$part" "$all" >&2
		exit 2
	}
done
for part in $parts; do
	"part_$part"
done
if [[ $parts != "$all" ]]; then
	[[ -z $table ]] || printf '%s\n\n' "$table"
	cat "$raw"
	exit
fi

cpu=$(awk -F': ' '/model name/ { print $2; exit }' /proc/cpuinfo)
memory=$(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)
{
	cat <<TXT
# Benchmarks

Written by \`make bench\`; every ratio compares two things that were measured in turn in the same run.

Machine: $(nproc) processors ($cpu), $memory, Linux $(uname -r), $(go version | cut -d' ' -f3), load $(cut -d' ' -f1 /proc/loadavg) at the end.

## Whole calls

![One tool call, median in milliseconds](benchmarks.svg)

A message goes through socket, store, gate, audit log (fsync), token and runner into a sealed container that has never run anything, and its result comes
back; a call is counted from the model's tool call to the result in hand. *Ready*: the container was started before the call came. *Cold*: it is started for
it, and removed after the result was handed over. In turn with them, by plain engine calls and programs of the same images, with no network and none
of our other settings and checks, and no program of ours: a container made, run (\`true\`; \`rg\` over the same file; Chromium's
\`--dump-dom\` of a blank page) and removed; \`docker exec\` of the same program in one container that everybody shares; one line to a process that is
blocked in a container, and back. The last two rows are processes of this machine without any wall. \`secureclaw bench\` prints this for yours.

Its page stands on a name that nobody has, since addresses of this machine are refused: everything but the page. Whole pages are under Pages.

$table

[Where the time of a start goes](starting-a-container.md) says why a cold call is quicker than a plain container.

At once: that many sessions, each call after call, against as many plain containers at once, removal included.
Of what is neither engine nor tool, about half is the fsync of the intent; the rest is two sockets, minting and verifying.

## Parts

| part | figure | baseline in the same run | goal |
|---|---|---|---|
| audit append, 64 writers, fsync, entries/s | $(metric BenchmarkAppend64 entries/s) | raw write + fsync of the same bytes: $(metric BenchmarkRaw64 entries/s) | ≥ 50,000 |
| audit append, 1 writer, fsync, entries/s | $(metric BenchmarkAppend1 entries/s) | raw: $(metric BenchmarkRaw1 entries/s) | |
| audit verify, entries/s | $(metric BenchmarkVerify entries/s) | | ≥ 500,000 |
| sandbox alone: result in hand ÷ the same sealed container by plain calls | $(metric BenchmarkRun result/plain) | 1 | ≤ 1.10 |

## Memory

100,000 memories of 8 to 31 words, drawn as people use words. The baseline, by turns, is a table of FTS5 as its documentation shows it, asked for any of the words and ordered by \`rank\`. The
third figure is what the search itself worked: on a busy machine the clock says more.

| | p50 / p99, ms | p99 worked, ms | plain FTS5, p50 / p99, ms |
|---|---|---|---|
$(for kind in selective two-words two-common-words most-common-words mixed head-of-a-word message-of-20-words message-of-common-words; do
		name=BenchmarkMemories/$kind
		printf '| %s | %s / **%s** | %s | %s / %s |\n' "${kind//-/ }" "$(metric $name p50-ms)" "$(metric $name p99-ms)" "$(metric $name p99-cpu-ms)" "$(metric $name plain-p50-ms)" "$(metric $name plain-p99-ms)"
	done)

Goal: p99 ≤ 10 ms. Asked with five words of a memory, it is not among the first five in $(metric BenchmarkMemories/five-words-of-one missed-%) % of cases. Inserted in batches: $(metric BenchmarkMemories/five-words-of-one rows-inserted/s) a
second; on disk $(metric BenchmarkMemories/five-words-of-one MB) MB. One \`save_memory\` with its search for duplicates and its fsync: $(metric BenchmarkMemories/save ns/op) ns.

## A message

From the terminal's frame to the whole question at a model server on this machine, by the whole gateway: store, audit log and turn with their fsyncs, recall, history. And from the server's write of one piece of an answer to the
terminal's frame; the baseline reads the server's stream itself.

| | p50 / p95, µs | goal |
|---|---|---|
| message in → model asked, one message, no memories | $(metric BenchmarkMessage/1+0 µs-p50) / $(metric BenchmarkMessage/1+0 µs-p95) | |
| message in → model asked, 1,000 messages of history and 100,000 memories | **$(metric BenchmarkMessage/1000+100000 µs-p50)** / $(metric BenchmarkMessage/1000+100000 µs-p95) | ≤ 2,000 |
| one piece of an answer, server → terminal | **$(metric BenchmarkDelta µs-p50)** / $(metric BenchmarkDelta µs-p95), plain $(metric BenchmarkDelta plain-µs-p50) / $(metric BenchmarkDelta plain-µs-p95) | ≤ 1,000 more |

## Telegram

From outside: a Bot API server and a model server on this machine, real processes, real containers. The baseline, in turn with it, is a bot of a few lines
that polls and asks the model at once. From a tap to its container is not measured: one waits already, or it takes what a cold call takes.

| | figure | baseline in the same run | goal |
|---|---|---|---|
| message in → model asked, ms | $(metric BenchmarkTelegramMessage asked-ms) | $(metric BenchmarkTelegramMessage plain-ms) | overhead ≤ 5: $(metric BenchmarkTelegramMessage added-ms) |
| bridge resident after the messages, MB | $(metric BenchmarkTelegramMessage bridge-MB) | | ≤ 20 |

## Pages

A page on loopback by a whole call of \`browse_web\` (token, container, Chromium with its sandbox, tunnel, way out, tree in hand), with a browser that is ready and with one that is started for it, in turn with Chromium itself in a
plain container of the same image on the host's network, which prints the page's DOM and ends. The tunnel is measured through a real container; its baseline is the bare attached stream. A request is one stream opened, asked and
answered; the way out adds the difference of the two connections, TLS included, DNS not. $few calls of each.

| | figure | baseline in the same run | goal |
|---|---|---|---|
| ready call ÷ Chromium in a plain container | **$(metric BenchmarkBrowse ready/plain)** ($(metric BenchmarkBrowse ready-ms) ms, $(metric BenchmarkBrowse ready-found) of $few were ready) | $(metric BenchmarkBrowse plain-ms) ms | ≤ 350 ms |
| cold call ÷ Chromium in a plain container | **$(metric BenchmarkBrowse call/plain)** ($(metric BenchmarkBrowse call-ms) ms) | $(metric BenchmarkBrowse plain-ms) ms | ≤ 1.2 |
| tunnel, bytes to the browser, MiB/s | $(metric BenchmarkTunnel/down tunnel-MiB/s) | $(metric BenchmarkTunnel/down attach-MiB/s) | ≥ 60 |
| tunnel, bytes from the browser, MiB/s | $(metric BenchmarkTunnel/up tunnel-MiB/s) | $(metric BenchmarkTunnel/up attach-MiB/s) | |
| tunnel, one request, µs | $(metric BenchmarkTunnel/request µs/request) | | ≤ 2,000 with the way out |
| way out, one connection with TLS, ns | $(metric BenchmarkConnect/through ns/op) | $(metric BenchmarkConnect/direct ns/op) | |

What a page costs a model, in bytes (four are about a token); \`TestLive\` prints them, and the pages are in executor/web/internal/snapshot/testdata.

| page | raw HTML | text of the DOM | tree with refs and links |
|---|---|---|---|
| documentation | 34,258 | 10,588 | 16,268 |
| form | 20,062 | 1,412 | 4,368 |
| forum | 97,946 | 12,192 | 24,727 |
| news | 35,608 | 8,882 | 12,742 |
| search results | 46,294 | 7,478 | 13,329 |
| shop | 72,729 | 5,091 | 23,348 |
| table | 44,814 | 10,472 | 17,223 |

## As printed

\`\`\`text
$(cat "$raw")
\`\`\`
TXT
} >"$out.new"
mv "$out.new" "$out"
install -m 0644 "$picture" "$drawn"
say "written: $out and $drawn"
