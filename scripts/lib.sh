# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# What the scripts share: messages, packages, the cache. To be sourced.

me=${0##*/}
DOD_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
DOD_CACHE=${DOD_CACHE:-${HOME:?}/.cache/dma-owner-debug}
case $DOD_CACHE in
/*) ;;
*) DOD_CACHE=$PWD/$DOD_CACHE ;;
esac
export DOD_CACHE

DOD_LLVM=-19

# use_toolchain gcc|clang-N: sets DOD_MAKE_OPTIONS, what make is told. They are part
# of the name of every build directory: only what changes a kernel's binary or its
# make command line. -g1 gives line numbers, and costs neither the time nor the
# space of a full CONFIG_DEBUG_INFO. With asan-opt-same-temp=0 the compiler checks an
# address again where it is written after it was read, as x++ does; gcc has no such
# option, and checks it once.
use_toolchain()
{
	case $1 in
	gcc) DOD_MAKE_OPTIONS=(KCFLAGS=-g1) ;;
	clang*) DOD_MAKE_OPTIONS=("LLVM=${1#clang}"
		"KCFLAGS=-g1 -mllvm -asan-opt-same-temp=0") ;;
	esac
}

die()
{
	echo "$me: $*" >&2
	exit 1
}

bad_usage()
{
	echo "$me: $* (see $me --help)" >&2
	exit 2
}

note()
{
	echo "$me: $*" >&2
}

# usage: the comment block that opens the script, without its first two lines.
usage()
{
	awk 'NR <= 2 { next } !/^#/ { exit } { sub(/^# ?/, ""); print }' "$0"
}

# parse_options "OPTION..." ARGUMENT...: an OPTION is --name, which sets $name to y;
# --name=, which takes a value; --name=N, a whole number that is not 0; --name=..., an
# array, to which each value is added. What is no option goes to the array args, and what
# comes after -- to the array rest.
parse_options()
{
	local opt_spec=" ${1//[$'\n\t']/ } " opt_name opt_kind

	shift
	args=() rest=()
	while [ $# -gt 0 ]; do
		opt_name=${1#--} opt_name=${opt_name//-/_}
		case $1 in
		--help|-h) usage; exit 0 ;;
		--) rest=("${@:2}"); return ;;
		-*) ;;
		*) args+=("$1"); shift; continue ;;
		esac
		case $opt_spec in
		*" $1 "*) printf -v "$opt_name" y; shift; continue ;;
		*" $1="*) ;;
		*) bad_usage "unknown option $1" ;;
		esac
		[ $# -ge 2 ] || bad_usage "$1 needs a value"
		opt_kind=${opt_spec#*" $1="} opt_kind=${opt_kind%% *}
		case $opt_kind:$2 in
		N:|N:*[!0-9]*|N:0) bad_usage "$1 is a whole number" ;;
		...:*)
			local -n opt_list=$opt_name
			opt_list+=("$2") ;;
		*) printf -v "$opt_name" %s "$2" ;;
		esac
		shift 2
	done
}

# one_argument WHAT: args has one, and no more.
one_argument()
{
	[ ${#args[@]} -gt 0 ] || bad_usage "which $1?"
	[ ${#args[@]} = 1 ] || bad_usage "one $1 at a time"
}

# no_arguments: args has none.
no_arguments()
{
	[ ${#args[@]} = 0 ] || bad_usage "unknown argument ${args[0]}"
}

# configured OPTION: does the kernel have it?
configured()
{
	grep -q "^CONFIG_$1=[ym]" "$build/.config"
}

# use_target TARGET: sets build, the build directory of a target of scripts/kernel, which
# TARGET may be itself; arch, as make calls it; sanitizer, what guards there: kasan, kcsan
# or none; and toolchain, with which it was built.
use_target()
{
	build=$1 arch=x86_64 sanitizer=none toolchain=gcc
	[ -d "$build" ] || build=$("$DOD_TOP/scripts/kernel" "$1" | tail -n 1)
	[ -n "$build" ] || exit 1
	[ -r "$build/.config" ] || die "$build is not a kernel build directory"
	! configured ARM || arch=arm
	! configured ARM64 || arch=arm64
	! configured RISCV || arch=riscv64
	! configured KCSAN || sanitizer=kcsan
	! configured KASAN_GENERIC || sanitizer=kasan
	! configured CC_IS_CLANG || toolchain=clang$DOD_LLVM
}

elapsed()
{
	local s=$((SECONDS - $1))

	printf '%dm%02ds' $((s / 60)) $((s % 60))
}

apt_update_once()
{
	[ -z "${dod_apt_updated:-}" ] || return 0
	note "apt-get update"
	(flock 6 && apt-get -qq update >&2) 6>"$(cache_dir apt)/lock" ||
		die "apt-get update failed: is there a network?"
	dod_apt_updated=1
}

# debian_mirrors: the addresses and the releases that apt is configured with, the main
# one first.
debian_mirrors()
{
	local label

	for label in Debian Debian-Security; do
		# shellcheck disable=SC2016	# apt's variables
		apt-get indextargets --format '$(SITE) $(RELEASE)' \
			'Created-By: Packages' "Label: $label" 'Component: main' | sort -u -k 2
	done
}

# private_apt ARCH [RELEASE]: the mirror's package lists for them, kept in the cache
# and read again once a day; the system's stay as they are. Without RELEASE, those
# that are configured. Sets apt_private, the options that make apt use them.
private_apt()
{
	local dir mirrors signed='' keyring=/usr/share/keyrings/debian-archive-keyring.gpg

	mirrors=$(debian_mirrors)
	if [ -z "$mirrors" ] && [ "$(id -u)" = 0 ]; then
		apt_update_once
		mirrors=$(debian_mirrors)
	fi
	[ -n "$mirrors" ] || die "apt is not configured with a Debian mirror, or was never updated"
	[ -z "${2-}" ] || mirrors="${mirrors%% *} $2"

	dir=$(cache_dir "apt/$1-${2:-configured}")
	mkdir -p "$dir/lists/partial" "$dir/archives/partial"
	[ ! -e "$keyring" ] || signed="[signed-by=$keyring] "
	sed "s|^|deb $signed|; s|\$| main|" <<<"$mirrors" >"$dir/sources.new"
	cmp -s "$dir/sources.new" "$dir/sources.list" || rm -f "$dir/updated"
	mv "$dir/sources.new" "$dir/sources.list"
	apt_private=(-qq "-oAPT::Architecture=$1" "-oAPT::Architectures=$1"
		-oAPT::Sandbox::User=root -oAPT::Update::Error-Mode=any
		"-oDir::Etc::SourceList=$dir/sources.list" -oDir::Etc::SourceParts=/dev/null
		"-oDir::State::Lists=$dir/lists" "-oDir::Cache=$dir")

	[ -z "$(find "$dir" -maxdepth 1 -name updated -mtime -1)" ] || return 0
	note "apt-get update (${2:-configured releases} $1)"
	if (flock 6 && apt-get "${apt_private[@]}" update >&2) 6>"$dir/lock"; then
		: >"$dir/updated"
	elif [ ! -e "$dir/updated" ]; then
		die "apt-get update failed: is there a network?"
	fi
}

# need_packages PACKAGE...: installs those that are missing.
need_packages()
{
	local p missing=()

	for p; do
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null |
			grep -q ' installed$' || missing+=("$p")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	[ "$(id -u)" = 0 ] ||
		die "packages are missing, please run: sudo apt-get install ${missing[*]}"
	apt_update_once
	note "installing ${missing[*]}"
	DEBIAN_FRONTEND=noninteractive apt-get -qq -y -oDPkg::Lock::Timeout=600 \
		--no-install-recommends install "${missing[@]}" \
		</dev/null >"$(cache_dir log)/apt.log" 2>&1 ||
		die "apt-get install failed, see $DOD_CACHE/log/apt.log"
}

# busybox_for ARCH: a static busybox of that Debian architecture.
busybox_for()
{
	local dir deb

	if [ "$1" = "$(dpkg --print-architecture)" ]; then
		need_packages busybox-static
		echo /bin/busybox
		return
	fi
	dir=$(cache_dir "busybox-$1")
	exec 7>"$dir/lock"
	flock 7
	if [ ! -x "$dir/busybox" ]; then
		# Debian has riscv64 since 13.
		private_apt "$1" "$([ "$1" != riscv64 ] || echo trixie)"
		note "fetching busybox-static for $1"
		(cd "$dir" && apt-get "${apt_private[@]}" download busybox-static >&2) ||
			die "apt-get download busybox-static failed: is there a network?"
		deb=$(echo "$dir"/busybox-static_*.deb)
		dpkg-deb -x "$deb" "$dir/root" || die "cannot unpack $deb"
		# In /bin or in /usr/bin.
		find "$dir/root" -type f -path '*/bin/busybox' -exec mv {} "$dir/busybox" \;
		rm -r "$deb" "$dir/root"
	fi
	exec 7>&-
	echo "$dir/busybox"
}

# cache_dir NAME: a directory of the cache, made if need be.
cache_dir()
{
	mkdir -p "$DOD_CACHE/$1" || die "cannot create $DOD_CACHE/$1: set DOD_CACHE"
	echo "$DOD_CACHE/$1"
}

# progress LABEL LOG PATTERN PID: until PID ends, a line every 15 s with the
# number of lines of LOG that match PATTERN.
progress()
{
	local start=$SECONDS last=$SECONDS

	while kill -0 "$4" 2>/dev/null; do
		sleep 1
		[ $((SECONDS - last)) -ge 15 ] || continue
		last=$SECONDS
		note "$1: $(grep -cE "$3" "$2") files, $(elapsed "$start")"
	done
}

# copy_build OLD NEW: a build directory to go on from. Without its own name in the
# commands that built objtool, make would build that again and then everything.
copy_build()
{
	local old new

	rm -rf "$2" "$2.copy"
	mkdir "$2.copy"
	# $1 may be a symbolic link: what is copied is what it leads to.
	cp -a "$1/." "$2.copy"
	rm -f "$2.copy/.dod-built" "$2.copy/.dod-prepared"
	# make has resolved symbolic links.
	old=$(cd "$1" && pwd -P)
	new=$(cd "$(dirname "$2")" && pwd -P)/$(basename "$2")
	[ ! -d "$2.copy/tools" ] ||
		find "$2.copy/tools" -name '.*.cmd' -exec sed -i "s|$old|$new|g" {} +
	mv "$2.copy" "$2"
}

# modules_dir BUILD: where build_modules leaves them. Neither several kernels nor
# several checkouts mix.
modules_dir()
{
	echo "$(cache_dir modules)/$(basename "$1")-$(echo "$DOD_TOP" | cksum | cut -d ' ' -f 1)"
}

# build_modules BUILD: the tool, its tests and its samples for that kernel. Built
# from a copy; prints the directory, where build.log has the warnings.
build_modules()
{
	local dir log options=()

	dir=$(modules_dir "$1")
	log=$dir/build.log
	mkdir -p "$dir"
	# Sources that are gone must not be built; the rest keeps its time stamp.
	find "$dir" -name '*.[ch]' ! -name '*.mod.c' -delete
	(cd "$DOD_TOP" && find . -path './.*' -prune -o \( -name '*.[ch]' ! -name '*.mod.c' \
		-o -name Kbuild -o -name Makefile \) -exec cp -p --parents -t "$dir" {} +)
	note "building the modules for $(basename "$1")"
	# A kernel that is only prepared has no list of its symbols.
	[ -e "$1/Module.symvers" ] || options+=(KBUILD_MODPOST_WARN=1)
	make -C "$dir" KDIR="$1" W=1 "${options[@]}" -j"$(nproc)" >"$log" 2>&1 </dev/null || {
		grep -E -m 5 'error|Error|undefined' "$log" >&2 || tail -n 5 "$log" >&2
		die "the modules do not build, see $log"
	}
	[ -e "$1/Module.symvers" ] ||
		sed -i '/^WARNING: .*\(modpost\|Module.symvers\|Symbol info\)/d' "$log"
	# The next run must not find it all built, and so without a warning.
	! grep -E 'warning:|WARNING:' "$log" >&2 || find "$dir" -name '*.o' -delete
	echo "$dir"
}
