#!/usr/bin/env bash
# Checks the code and runs every test; installs what the tests need.
#
#   scripts/test.sh         everything
#   scripts/test.sh lint    format, vet, staticcheck, the rules of imports, unused
#   scripts/test.sh unused  what no program reaches, and what is exported for nobody
#   scripts/test.sh go      the Go tests, on the server of .cache/db.env or
#                           of TELEMETRYD_TEST_DATABASE_URL
#   scripts/test.sh pglite  those of the schema and the store once more, on the
#                           community edition
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cache=$PWD/.cache
mkdir -p "$cache"

step() { printf '\n== %s\n' "$*"; }

# packages_of runs npm ci in a folder, unless what it installed is still right.
packages_of() {
	local stamp=$1/node_modules/.installed
	if ! cmp --silent "$1/package-lock.json" "$stamp"; then
		npm ci --prefix "$1" --no-audit --no-fund --loglevel=error
		cp "$1/package-lock.json" "$stamp"
	fi
}

# install_packages installs Debian packages.
install_packages() {
	step "$*, by apt"
	local root=()
	[[ $EUID == 0 ]] || root=(sudo)
	"${root[@]}" apt-get update -q
	"${root[@]}" apt-get install --yes --no-install-recommends "$@"
}

# browser sees to it that there is a Chromium for the tests of the page.
browser() {
	[[ -z ${TELEMETRYD_TEST_CHROMIUM:-} ]] || return 0
	local name
	for name in chromium chromium-browser google-chrome; do
		! command -v "$name" >/dev/null || return 0
	done
	install_packages chromium fonts-dejavu-core
}

# tool runs one of the tools that tools/go.mod lists, in its version.
tool() { go tool -modfile=tools/go.mod "$@"; }

vet() {
	step "format"
	local files
	files=$(gofmt -l $(git ls-files '*.go'))
	if [[ -n $files ]]; then
		printf 'not formatted, run make fmt:\n%s\n' "$files" >&2
		return 1
	fi
	step "vet" # of the tests too, which therefore do without their own
	go vet ./...
}

analyse() {
	step "staticcheck"
	tool staticcheck ./...
	step "imports, by the rules of .depguard.yml"
	tool depguard ./...
	step "code and exported names that nothing uses"
	unused
}

# unused fails where there is code that no program reaches, which deadcode lists
# but ends well, or an exported name without a user outside of its package. What
# only tests of other packages call has to be exported, and counts as used.
unused() {
	local dead
	dead=$(tool deadcode ./cmd/... | sed -E '/func: (.*\.)?[A-Z][^.]*$/d')
	[[ -z $dead ]] || printf '%s\n' "$dead" >&2
	go -C tools run ./unused ..
	[[ -z $dead ]]
}

# settings names the server to test against, unless the caller did.
settings() {
	if [[ -z ${TELEMETRYD_TEST_DATABASE_URL:-} && -f $cache/db.env ]]; then
		set -a
		. "$cache/db.env"
		set +a
	fi
	# The daemon that tests start must not take the developer's own database.
	unset TELEMETRYD_DATABASE_URL TELEMETRYD_DATA_DIR
}

# What only computes is checked for races where the store's tests run it, and the
# programs that test/ starts are built without the detector: these run at their
# full speed.
plain=(./test/... ./timeseries/analysis ./timeseries/decode/... ./timeseries/record)

plain_tests() {
	settings
	packages_of test/browser
	browser
	command -v curl >/dev/null || install_packages curl # the documents' commands use it
	step "go test of what starts or is no daemon"
	go test -vet=off -timeout 40m "${plain[@]}"
	step "benchmarks, once, so that they keep running"
	go test -vet=off -run '^$' -bench . -benchtime 1x $(git grep -l '^func Benchmark' -- '*_test.go' | xargs -n1 dirname | sort -u | sed 's#^#./#')
}

race_tests() {
	settings
	packages_of test/node # the npm clients that the tests of api/convex/sync run
	packages_of test/openapi # a linter and a generator of clients, for the tests of api
	# Imported passwords are hashed 30 times as slowly under it, in a package without
	# a goroutine. Others must not be left out: it learns from their atomic operations
	# what keeps goroutines apart.
	local race=(-race -gcflags=golang.org/x/crypto/scrypt=-race=false)
	if ! command -v gcc >/dev/null; then
		race=()
		echo "no gcc here: without the race detector"
	fi
	step "go test${race[0]:+ with the race detector}"
	# The longest first, so that nothing is left for one processor in the end.
	go test -vet=off -timeout 40m "${race[@]}" ./timeseries $(go list ./... | grep -vFx "$(go list "${plain[@]}")")
}

pglite_tests() {
	step "go test, on the community edition (PGlite)"
	packages_of test/pglite
	# Only what the edition makes a difference to: the schema, and the rooms whose
	# statements read and write the hypertable and its rollups. All others ask these.
	# It is one process with one thread, where tests beside each other gain nothing
	# and keep each other waiting.
	local packages
	packages=$(go list -f '{{.ImportPath}} {{.TestImports}} {{.XTestImports}}' ./sql ./timeseries/... |
		grep internal/dbtest | cut -d ' ' -f 1)
	node test/pglite/adapter.mjs -- go test -vet=off -timeout 30m -p 1 -parallel 2 $packages
}

case ${1:-all} in
lint) vet; analyse ;;
unused) unused ;;
go) plain_tests; race_tests ;;
pglite) pglite_tests ;;
all)
	# What computes runs beside the tests that wait for most of their time, for
	# servers, clients and what happens later. All come to their end; what ran in
	# the background is printed then.
	set -m # each has a process group of its own, to be stopped as a whole
	race_tests &
	jobs=($!)
	vet &
	jobs+=($!)
	trap 'kill -- "${jobs[@]/#/-}" 2>/dev/null || true' EXIT
	status=0
	# Commands that begin at once would each compile all packages for themselves:
	# when vet is through, those without the detector are there.
	wait "${jobs[1]}" || status=$?
	(analyse; pglite_tests) >"$cache/lint-pglite.log" 2>&1 &
	jobs[1]=$!
	plain_tests >"$cache/plain.log" 2>&1 &
	jobs+=($!)
	for job in "${jobs[@]}"; do
		wait "$job" || status=$?
	done
	trap - EXIT
	cat "$cache/plain.log" "$cache/lint-pglite.log"
	[[ $status == 0 ]] || exit $status
	step "all passed"
	;;
*)
	sed -n '2,10p' "${BASH_SOURCE[0]}"
	exit 2
	;;
esac
