# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# A distribution's own kernel instead of one that is built: scripts/kernel reads this.

# stock_packages PATTERN ARCH: sets the packages of the newest such kernel that the
# package sources of apt_private have: stock_image; stock_headers, an array; stock_kbuild,
# the programs for the build; stock_abi, what uname -r says; stock_version.
stock_packages()
{
	local name base

	stock_image=''
	while read -r name; do
		stock_version=$(apt-cache "${apt_private[@]}" show --no-all-versions "$name" 2>/dev/null |
			sed -n 's/^Version: //p')
		[ -z "$stock_version" ] || { stock_image=$name; break; }
	done < <(apt-cache "${apt_private[@]}" pkgnames "$1" |
		grep -E "^$1\.[^-]*-$2-unsigned\$" | sort -rV)
	stock_abi=${stock_image#linux-image-}
	stock_abi=${stock_abi%-unsigned}
	base=${stock_abi%"-$2"}
	stock_headers=("linux-headers-$stock_abi" "linux-headers-$base-common")
	stock_kbuild=linux-kbuild-$base
	[ -n "$stock_image" ]
}

# stock_fetch DIR: the packages of stock_packages.
stock_fetch()
{
	note "fetching $stock_image $stock_version, and its headers"
	# The programs are for the machine that builds.
	(cd "$1" && apt-get -qq -oAPT::Sandbox::User=root "${apt_private[@]}" download \
		"$stock_image=$stock_version" "${stock_headers[@]/%/=$stock_version}" &&
		apt-get -qq -oAPT::Sandbox::User=root download "$stock_kbuild=$stock_version") >&2
}

# stock_needs DIR ARCH: what the packages there depend on, and what we need of our own.
# pahole is for type information, which our modules do without.
stock_needs()
{
	local deb field name needs=(make kmod xz-utils)

	for deb in "$1"/linux-headers-*-"$2"_* "$1"/linux-kbuild-*; do
		while read -r name; do
			case $name in
			linux-*|pahole|'') continue ;;
			gcc-[0-9]*)
				# Without a compiler of its own, each architecture has one for it.
				[ "$2" = "$(dpkg --print-architecture)" ] ||
					name=$name-$(stock_triplet "$2") ;;
			esac
			needs+=("$name")
		done < <(dpkg-deb -f "$deb" Depends | tr ',' '\n' | sed 's/[(|:].*//; s/ //g')
	done
	need_packages "${needs[@]}"
}

# stock_triplet ARCH: as the names of packages have it.
stock_triplet()
{
	case $1 in
	amd64) echo x86-64-linux-gnu ;;
	arm64) echo aarch64-linux-gnu ;;
	esac
}

# stock_modules FROM TO: those of config/stock.modules and all that they need, as a
# directory that modprobe can use. Names with - and with _ are the same.
stock_modules()
{
	local file name
	local -A path=() taken=()
	local -a queue

	while read -r file; do
		name=${file##*/} name=${name%%.ko*}
		path[${name//-/_}]=$file
	done < <(find "$1" -name '*.ko*')
	mkdir -p "$2/kernel"
	cp "$1"/modules.builtin* "$1/modules.order" "$2"
	mapfile -t queue < <(sed 's/#.*//; /^$/d' "$DOD_TOP/scripts/config/stock.modules")
	for name in "${queue[@]}"; do
		[ -z "${path[${name//-/_}]-}" ] || echo "$name"
	done >"$2/load"
	while [ ${#queue[@]} -gt 0 ]; do
		name=${queue[0]//-/_} queue=("${queue[@]:1}")
		file=${path[$name]-}
		if [ -z "$file" ] || [ -n "${taken[$name]-}" ]; then continue; fi
		taken[$name]=y
		case $file in
		*.xz) xz -dc "$file" ;;
		*.zst) zstd -qdc "$file" ;;
		*) cat "$file" ;;
		esac >"$2/kernel/$name.ko" || return
		mapfile -t -d , -O ${#queue[@]} queue < <(modinfo -F depends "$2/kernel/$name.ko" | tr -d '\n')
	done
}

# stock_layout DIR ARCH: what was unpacked in DIR/.package, laid out as a directory in
# which the kernel was built. The headers' own Makefile has the place where the package
# manager would put it.
stock_layout()
{
	local dir=$1 image package=.package src=.package/usr/src

	case $2 in
	amd64) image=arch/x86/boot/bzImage ;;
	arm64) image=arch/arm64/boot/Image ;;
	esac
	(
		cd "$dir" || exit
		cp -a "$src/linux-headers-$stock_abi/." .
		ln -s "$src/${stock_headers[1]}" source
		ln -sfn "$package/usr/lib/$stock_kbuild/scripts" scripts
		ln -sfn "$package/usr/lib/$stock_kbuild/tools" tools
		# shellcheck disable=SC2016	# make's
		echo 'include $(dir $(lastword $(MAKEFILE_LIST)))source/Makefile' >Makefile
		# Only for type information.
		rm -f vmlinux
		mkdir -p "${image%/*}"
		cp "$package/boot/vmlinuz-$stock_abi" "$image"
		cp "$package/boot/System.map-$stock_abi" System.map
		mkdir -p "modules/lib/modules/$stock_abi"
		stock_modules "$package/lib/modules/$stock_abi" "modules/lib/modules/$stock_abi"
		depmod -b modules -F System.map "$stock_abi"
		rm -r .package/lib/modules .package/boot
		[ -s "$image" ] && [ -s Module.symvers ] && [ -x scripts/mod/modpost ] &&
			[ -s "modules/lib/modules/$stock_abi/modules.dep" ]
	)
}

# stock_unpack BUILD ARCH: false if the packages cannot be had.
stock_unpack()
{
	local tmp deb

	tmp=$(mktemp -d "$DOD_CACHE/build/stock.XXXXXX")
	# shellcheck disable=SC2064	# $tmp as it is now
	trap "rm -rf '$tmp'" EXIT
	stock_fetch "$tmp" || { rm -rf "$tmp"; return 1; }
	stock_needs "$tmp" "$2"
	note "unpacking $stock_image"
	for deb in "$tmp"/*.deb; do
		dpkg-deb -x "$deb" "$tmp/.package" || die "cannot unpack: is there room in $DOD_CACHE?"
		rm "$deb"
	done
	stock_layout "$tmp" "$2" || die "$stock_image is not laid out as expected"
	: >"$tmp/.dod-built"
	chmod 755 "$tmp"
	rm -rf "$1"
	mv "$tmp" "$1"
	trap - EXIT
}

# stock_newest TARGET PATTERN ARCH: prints the build directory of the newest version.
stock_newest()
{
	local build apt_private=() start=$SECONDS

	[ "$3" = "$(dpkg --print-architecture)" ] || private_apt "$3"
	stock_packages "$2" "$3" || return
	build=$(cache_dir build)/$1-$(echo "$stock_image $stock_version" | sha256sum | cut -c 1-12)
	exec 9>"$build.lock"
	flock -n 9 || { note "waiting for another scripts/kernel that fetches $1"; flock 9; }
	if [ ! -e "$build/.dod-built" ]; then
		stock_unpack "$build" "$3" || return
		note "unpacked $1 in $(elapsed "$start")"
	fi
	echo "$build"
}

# stock_kernel TARGET PATTERN ARCH: prints its build directory: of the newest version that
# apt knows; if that is gone, of the newest there is; without a network, of the last one.
stock_kernel()
{
	local last

	stock_newest "$@" && return
	[ "$(id -u)" != 0 ] || (apt_update_once) && stock_newest "$@" && return
	last=$(find "$(cache_dir build)" -path "*/$1-[0-9a-f]*/.dod-built" -printf '%T@ %h\n' |
		sort -n | tail -n 1)
	[ -n "$last" ] ||
		die "no package $2.*-$3-unsigned: is there a network, and a package source that has it?"
	note "taking what the cache has"
	echo "${last#* }"
}
