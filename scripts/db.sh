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

# suites TARGET prints apt sources for the Debian release TARGET, on the mirrors
# that this machine uses for its own release.
suites() {
	local target=$1 keyring=/usr/share/keyrings/debian-archive-keyring.gpg release uri
	apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' | sort -u |
		while read -r release uri; do
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

# unpack_packages fills $1 with the server, its libraries and bubblewrap.
unpack_packages() {
	local root=$1 apt=$home/apt server deb
	rm -rf "$apt"
	mkdir -p "$apt"/state/lists/partial "$apt"/cache/archives/partial
	: >"$apt/status" # nothing is installed, so that every dependency is fetched

	# TimescaleDB is packaged from Debian 13 on.
	local target=$VERSION_CODENAME
	[[ ${VERSION_ID:-99} -ge 13 ]] || target=trixie
	suites "$target" >"$apt/sources.list"
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
	server=$(apt-cache pkgnames postgresql- |
		grep -xE 'postgresql-[0-9]+-timescaledb' | sort -V | tail -n 1) ||
		fail "Debian $target has no package of TimescaleDB; set TELEMETRYD_DATABASE_URL to a database of yours"
	logged apt-get -qq install --yes --download-only "$server" "${server%-timescaledb}" bubblewrap dash coreutils
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

# write_wrappers makes $home/bin, a folder of server programs like any other.
# Each enters the unpacked packages: their /usr takes the place of the
# machine's, everything else stays where it is, so that paths mean the same
# inside and outside. PostgreSQL refuses to run as root; inside, whoever calls
# is the user postgres, and files belong to the caller outside.
write_wrappers() {
	local bin=$home/bin.new name
	rm -rf "$bin"
	mkdir -p "$bin" "$home/etc"
	printf '%s\n' 'root:x:0:0:root:/:/bin/sh' 'postgres:x:100:102:postgres:/:/bin/sh' >"$home/etc/passwd"
	printf '%s\n' 'root:x:0:' 'postgres:x:102:' >"$home/etc/group"
	cat >"$bin/.enter" <<-'ENTER'
		#!/usr/bin/env bash
		# Written by scripts/db.sh. Runs the server program of this name.
		set -euo pipefail
		home=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
		root=$home/root
		mounts=()
		for dir in bin sbin lib lib32 lib64 libexec share; do
			if [[ -d $root/usr/$dir && -d /usr/$dir ]]; then
				mounts+=(--ro-bind "$root/usr/$dir" "/usr/$dir")
			fi
		done
		programs=("$root"/usr/lib/postgresql/*/bin)
		loader=("$root"/usr/lib*/ld-linux*.so.*)
		libraries=("$root"/usr/lib/*-linux-gnu*)
		exec "${loader[0]}" --library-path "${libraries[0]}" "$root/usr/bin/bwrap" \
			--unshare-user --uid 100 --gid 102 --dev-bind / / "${mounts[@]}" \
			--ro-bind "$home/etc/passwd" /etc/passwd --ro-bind "$home/etc/group" /etc/group \
			--setenv LC_ALL C.UTF-8 \
			"${programs[0]#"$root"}/${0##*/}" "$@"
	ENTER
	chmod +x "$bin/.enter"
	for name in "$home"/root/usr/lib/postgresql/*/bin/*; do
		ln -s .enter "$bin/${name##*/}"
	done
	local answer
	answer=$("$bin/postgres" --version 2>&1) || {
		say "$answer"
		fail "the unpacked server does not start: this machine may forbid user namespaces (bubblewrap needs them)." \
			"Set TELEMETRYD_DATABASE_URL to a database of yours, or TELEMETRYD_PG_BINDIR to server programs with TimescaleDB"
	}
	rm -rf "$home/bin"
	mv "$bin" "$home/bin"
	say "ready: $answer"
}

use_packages() {
	[[ -r /etc/os-release ]] && . /etc/os-release
	[[ ${ID:-} == debian ]] && command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
		fail "no Docker engine answers and this is not Debian: install PostgreSQL 15 or newer with TimescaleDB, or set TELEMETRYD_DATABASE_URL"
	if [[ ! -d $home/root ]]; then
		rm -rf "$home"/root.new
		unpack_packages "$home/root.new"
		mv "$home/root.new" "$home/root"
	fi
	write_wrappers
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
