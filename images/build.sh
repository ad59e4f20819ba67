#!/usr/bin/env bash
# build.sh builds the images of the executors, and only when something in them has changed.
#
#   images/build.sh                 all three, tagged :latest
#   images/build.sh --tag dev       another tag
#   images/build.sh --force         even when nothing has changed, with fresh Debian packages
#
# An image carries the hash of all that went into it (Dockerfile, executor, base image) as a
# label; equal hash, nothing to do. The executors are static and built without paths, times or
# commit, so that equal sources give equal hashes.
#
# Exit: 0 built or unchanged · 1 a build failed · 2 usage · 5 no engine or no base image
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly repo=${here%/*}
readonly base_image=debian:bookworm-slim
readonly inputs_label=dev.secureclaw.inputs
export PATH="$PATH:/usr/local/go/bin"

tag=latest
force=false
while [[ $# -gt 0 ]]; do
	case $1 in
	--tag)
		tag=${2:?--tag needs a name}
		shift
		;;
	--force) force=true ;;
	-h | --help)
		sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
		exit 0
		;;
	*)
		printf 'error: build.sh does not know %q\n  fix  images/build.sh --help\n' "$1" >&2
		exit 2
		;;
	esac
	shift
done

say() { printf 'images: %s\n' "$*" >&2; }

if ! base_id=$(docker image inspect --format '{{.Id}}' "$base_image" 2>/dev/null); then
	printf 'error: cannot build the executor images\n  why  there is no Docker engine, or it has no %s\n  fix  scripts/setup.sh\n' "$base_image" >&2
	exit 5
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
context=$work/context
mkdir "$context"
cp -R "$here/Dockerfile" "$here/web" "$context/"

# compile NAME puts a static executor for the engine's processor into the context.
goarch=$(docker version --format '{{.Server.Arch}}')
compile() {
	(cd "$repo" && CGO_ENABLED=0 GOOS=linux GOARCH=$goarch go build -trimpath -buildvcs=false \
		-ldflags '-s -w -buildid=' -o "$context/$1" "./cmd/$1")
	chmod 0555 "$context/$1"
	touch -d @0 "$context/$1"
}

# Without its plug-in, the client of a newer Docker still has the classic builder.
if docker buildx version >/dev/null 2>&1; then
	export BUILDX_BUILDER=default # the engine's own builder: it knows the local base image
else
	export DOCKER_BUILDKIT=0
fi

# build NAME builds secureclaw/NAME from the target that NAME ends with.
build() {
	local image=secureclaw/$1:$tag inputs have
	compile "$1"
	local furniture=()
	[[ $1 != executor-web ]] || furniture=("$context/web/policy.json")
	inputs=$( (printf '%s\n' "$base_id" && cat "$context/Dockerfile" "$context/$1" "${furniture[@]}") | sha256sum | cut -d' ' -f1)
	have=$(docker image inspect --format "{{index .Config.Labels \"$inputs_label\"}}" "$image" 2>/dev/null || true)
	if [[ $have == "$inputs" ]] && ! $force; then
		say "$image is up to date"
		return
	fi
	say "building $image (the first time takes half a minute)"
	local options=(--target "${1#executor-}" --tag "$image"
		--label "$inputs_label=$inputs"
		--label "org.opencontainers.image.version=$(version)"
		--label "org.opencontainers.image.revision=$(revision)")
	if $force; then
		options+=(--no-cache)
	fi
	# A proxy of this shell is needed for apt during the build; it is not kept in the image.
	local name
	for name in http_proxy https_proxy no_proxy; do
		[[ -z ${!name:-} ]] || options+=(--build-arg "$name")
	done
	if docker build "${options[@]}" "$context" >"$work/log" 2>&1; then
		return
	fi
	# Some machines let only the host's own network reach a mirror.
	say 'the build failed; once more on the network of the host'
	if docker build --network=host "${options[@]}" "$context" >"$work/log" 2>&1; then
		return
	fi
	tail -n 20 "$work/log" >&2
	printf 'error: could not build %s\n  why  docker build failed (its last lines are above)\n  fix  check that this machine reaches its Debian mirror: sudo apt-get update\n' "$image" >&2
	exit 1
}

version() { git -C "$repo" describe --tags --always --dirty 2>/dev/null || echo unknown; }
revision() { git -C "$repo" rev-parse HEAD 2>/dev/null || echo unknown; }

build executor-shell
build executor-file
build executor-web
