#!/usr/bin/env bash
# Makes sure that this checkout has a PostgreSQL with TimescaleDB to run on, and
# writes .cache/db.env, which says where it is. The second run does nothing.
#
#   scripts/db.sh           find or get one
#   scripts/db.sh exec CMD  do that, then run CMD with the settings of .cache/db.env
#
# In this order:
#   1. TELEMETRYD_DATABASE_URL or TELEMETRYD_PG_BINDIR is set: that one.
#   2. A private copy in .cache/pg is there already: that one.
#   3. A Docker engine answers: the database of docker-compose.yml.
#   4. Server programs with TimescaleDB are installed (and we are not root).
#   5. Debian: the packages are unpacked into .cache/pg/root, which changes
#      nothing outside of the checkout and needs no privileges.
#
# TELEMETRYD_DB=docker, system or packages asks for 3, 4 or 5 by name.
set -euo pipefail

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=$checkout/.cache
home=$cache/pg
env_file=$cache/db.env
want=${TELEMETRYD_DB:-}

say() { printf 'db: %s\n' "$*" >&2; }
fail() {
	say "$@"
	exit 1
}

use_bindir() { printf 'TELEMETRYD_PG_BINDIR=%q\n' "$1" >"$env_file"; }

# The newest installed server that has TimescaleDB, if any.
system_bindir() {
	local dir
	for dir in $(printf '%s\n' /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/local/pgsql/bin | sort -rV); do
		if [[ -x $dir/postgres && -x $dir/pg_config ]] &&
			[[ -f $("$dir/pg_config" --sharedir)/extension/timescaledb.control ]]; then
			echo "$dir"
			return
		fi
	done
	return 1
}

use_docker() {
	timeout 10 docker info >/dev/null 2>&1 || return 1
	say "starting the database of docker-compose.yml"
	(cd "$checkout" && docker compose up --detach --wait --quiet-pull db >&2) || return 1
	local url="postgres://telemetryd:${TELEMETRYD_DB_PASSWORD:-telemetryd}@127.0.0.1:${TELEMETRYD_DB_PORT:-55440}"
	{
		printf 'TELEMETRYD_DATABASE_URL=%q\n' "$url/telemetryd?sslmode=disable"
		printf 'TELEMETRYD_TEST_DATABASE_URL=%q\n' "$url/postgres?sslmode=disable"
	} >"$env_file"
}

# mirrors prints "release URI" for each of this machine's package sources. A
# machine that was never updated does not know them; then the lists are fetched
# into a folder of ours.
mirrors() {
	local format='$(RELEASE) $(REPO_URI)' found
	found=$(apt-get indextargets --format "$format" 'Created-By: Packages' | sort -u)
	if [[ -z $found ]]; then
		local lists=(-o "Dir::State=$1/state" -o "Dir::Cache=$1/cache" -o APT::Sandbox::User=)
		logged apt-get -qq "${lists[@]}" update
		found=$(apt-get "${lists[@]}" indextargets --format "$format" 'Created-By: Packages' | sort -u)
	fi
	printf '%s\n' "$found"
}

# sources TARGET FOLDER prints apt sources for the Debian release TARGET, on the
# mirrors that this machine uses for its own release.
sources() {
	local target=$1 keyring=/usr/share/keyrings/debian-archive-keyring.gpg release uri
	mirrors "$2" | while read -r release uri; do
		case $release in
		"$VERSION_CODENAME" | "$VERSION_CODENAME-security" | "$VERSION_CODENAME-updates")
			echo "deb [signed-by=$keyring] $uri ${release/#"$VERSION_CODENAME"/$target} main"
			;;
		esac
	done
}

# logged runs a command whose output only matters when it fails.
logged() {
	"$@" >"$home/log" 2>&1 || {
		cat "$home/log" >&2
		fail "failed: $*"
	}
}

# unpack_packages fills $1 with the server and its libraries.
unpack_packages() {
	local root=$1 apt=$home/apt server deb
	rm -rf "$apt"
	mkdir -p "$apt"/state/lists/partial "$apt"/cache/archives/partial
	: >"$apt/status" # nothing is installed, so that every dependency is fetched

	# TimescaleDB is packaged from Debian 13 on.
	local target=$VERSION_CODENAME
	[[ ${VERSION_ID:-99} -ge 13 ]] || target=trixie
	sources "$target" "$apt" >"$apt/sources.list"
	[[ -s $apt/sources.list ]] ||
		fail "no Debian mirror for $VERSION_CODENAME in this machine's apt sources; set TELEMETRYD_DATABASE_URL to a database of yours"

	# Adds to the machine's own configuration, so that its proxy settings stay.
	cat >"$apt/apt.conf" <<-CONF
		Dir::State "$apt/state";
		Dir::State::status "$apt/status";
		Dir::Cache "$apt/cache";
		Dir::Etc::sourcelist "$apt/sources.list";
		Dir::Etc::sourceparts "/dev/null";
		Dir::Etc::preferences "/dev/null";
		Dir::Etc::preferencesparts "/dev/null";
		APT::Sandbox::User "";
		APT::Install-Recommends "false";
		Acquire::Languages "none";
		Acquire::Retries "3";
	CONF
	say "fetching PostgreSQL and TimescaleDB from Debian $target (about 100 MB, once)"
	export APT_CONFIG=$apt/apt.conf
	logged apt-get -qq update
	say "downloading the packages"
	server=$(apt-cache pkgnames postgresql- |
		grep -xE 'postgresql-[0-9]+-timescaledb' | sort -V | tail -n 1) ||
		fail "Debian $target has no package of TimescaleDB; set TELEMETRYD_DATABASE_URL to a database of yours"
	logged apt-get -qq install --yes --download-only "$server" "${server%-timescaledb}"
	unset APT_CONFIG

	say "unpacking"
	mkdir -p "$root"
	for deb in "$apt"/cache/archives/*.deb; do
		case ${deb##*/} in
		libllvm* | libz3* | libperl* | perl* | locales_* | libc-l10n_*) continue ;; # JIT, scripts and texts we do not use
		esac
		dpkg-deb --fsys-tarfile "$deb" | tar --extract --directory "$root" --no-same-owner --no-same-permissions \
			--exclude=./usr/share/doc --exclude=./usr/share/man --exclude=./usr/share/locale \
			--exclude='*/llvmjit*' --exclude='*/bitcode' --exclude=./dev
	done
	chmod -R u+rwX "$root"
	rm -rf "$apt"
}

# wrap_programs puts a wrapper in the place of each server program below $1.
# The programs were made for another release than this machine's, so each has to
# be started by the loader and with the libraries that it came with. They find
# their files, and each other, relative to where they are, so the folder can be
# anywhere.
wrap_programs() {
	local root=$1 bin loader libraries program
	bin=$(echo "$root"/usr/lib/postgresql/*/bin)
	loader=$(cd "$root" && echo usr/lib*/ld-linux*.so.*)
	libraries=$(cd "$root" && echo usr/lib/*-linux-gnu*)
	mkdir "$bin/.programs"
	for program in "$bin"/*; do
		mv "$program" "$bin/.programs/"
		ln -s .run "$program"
	done
	cat >"$bin/.run" <<-RUN
		#!/bin/sh
		# Written by scripts/db.sh: runs the server program of this name.
		bin=\$(cd "\${0%/*}" && pwd -P)
		root=\${bin%/usr/lib/postgresql/*}
		name=\${0##*/}
		set -- "\$root/$loader" --library-path "\$root/$libraries" --argv0 "\$bin/\$name" "\$bin/.programs/\$name" "\$@"
		# PostgreSQL refuses to run as root. As nobody, it keeps root's way to its
		# files; the securebit makes access(2) respect that as well.
		if [ "\$(id -u)" = 0 ]; then
			caps=+dac_override,+dac_read_search
			set -- setpriv --securebits=+no_setuid_fixup --reuid=nobody --regid=nogroup --clear-groups --inh-caps=\$caps --ambient-caps=\$caps "\$@"
		fi
		exec "\$@"
	RUN
	chmod +x "$bin/.run"
	local answer
	answer=$("$bin/postgres" --version 2>&1) || fail "the unpacked server does not start: $answer"
	say "ready: $answer"
}

use_packages() {
	[[ -r /etc/os-release ]] && . /etc/os-release
	[[ ${ID:-} == debian ]] && command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
		fail "no Docker engine answers and this is not Debian: install PostgreSQL 15 or newer with TimescaleDB, or set TELEMETRYD_DATABASE_URL"
	if [[ ! -d $home/root ]]; then
		rm -rf "$home"/root.new
		unpack_packages "$home/root.new"
		wrap_programs "$home/root.new"
		mv "$home/root.new" "$home/root"
	fi
	ln -sfn "$(cd "$home" && echo root/usr/lib/postgresql/*/bin)" "$home/bin"
	use_bindir "$home/bin"
}

ensure() {
	mkdir -p "$home"
	exec 9>"$home/lock"
	flock 9 # two runs at once: the second finds the work done
	if [[ -n ${TELEMETRYD_DATABASE_URL:-} ]]; then
		: >"$env_file"
	elif [[ -n ${TELEMETRYD_PG_BINDIR:-} ]]; then
		[[ -x $TELEMETRYD_PG_BINDIR/postgres ]] || fail "TELEMETRYD_PG_BINDIR=$TELEMETRYD_PG_BINDIR holds no program named postgres"
		use_bindir "$TELEMETRYD_PG_BINDIR"
	elif [[ $want == docker ]]; then
		use_docker || fail "no Docker engine answers, or its database did not start"
	elif [[ $want == system ]]; then
		local dir
		dir=$(system_bindir) || fail "no installed PostgreSQL has TimescaleDB"
		use_bindir "$dir"
	elif [[ -x $home/bin/postgres && -d $home/root ]]; then
		use_bindir "$home/bin"
	elif [[ $want != packages ]] && use_docker; then
		:
	elif [[ $want != packages && $EUID -ne 0 ]] && dir=$(system_bindir); then
		use_bindir "$dir"
	else
		use_packages
	fi
	exec 9>&-
}

ensure
if [[ ${1:-} == exec ]]; then
	shift
	set -a
	. "$env_file"
	set +a
	exec "$@"
fi
