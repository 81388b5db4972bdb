#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Usage: scripts/series.sh KERNEL_TREE DIR
#
# Writes the tool as patches for a kernel tree into DIR; "scripts/graft --patch" runs it.
# Which patches there are, and their texts, is in scripts/series. The tree is read, not
# written: the patches are made in a temporary git repository that has only those files
# of the tree that they change.

set -euo pipefail
. "$(dirname "$0")/lib.sh"

parse_options '' "$@"
[ ${#args[@]} = 2 ] || bad_usage "which tree, and where to?"
tree=${args[0]} out=$(realpath -m "${args[1]}")
home=kernel/dma/owner_debug manual=Documentation/dev-tools/dma_owner_debug
abi=Documentation/ABI/testing/debugfs-dma-owner-debug

declare -A user
for key in name email; do
	user[$key]=$(git -C "$DOD_TOP" config user.$key) ||
		die "patches are signed off, and git has no user.$key: git config --global user.$key ..."
done
! ls "$out"/*.patch >/dev/null 2>&1 || die "$out has patches already: remove them first"
long=$(grep -v '^[=#]' "$DOD_TOP/scripts/series" | grep -E '.{76}') || true
[ -z "$long" ] || die "scripts/series: more than 75 characters: $long"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
repo=$tmp/repo
awk -v dir="$tmp" '
	/^== / { file = sprintf("%s/%02d", dir, ++n); print substr($0, 4) >(file ".files"); next }
	n { print >(file ".text") }' "$DOD_TOP/scripts/series"

git()
{
	command git -C "$repo" -c user.name="${user[name]}" -c user.email="${user[email]}" \
		-c core.hooksPath=/dev/null -c commit.gpgSign=false -c core.autocrlf=false "$@"
}

# ours PATTERN: files of this directory, or of its folders.
ours()
{
	# shellcheck disable=SC2086	# a pattern
	(cd "$DOD_TOP" && find $1 -type f \
		\( -name '*.[ch]' ! -name '*.mod.c' -o -name Kbuild -o -name '*.rst' \
		-o -path '*/ABI/*' \) | sed 's|^\./||')
}

# place FILE: where a file of ours is in the kernel.
place()
{
	case $1 in
	Documentation/ABI/*) echo "$1" ;;
	Documentation/*) echo "$manual/${1#*/}" ;;
	*) echo "$home/$1" ;;
	esac
}

# put FILE: stdin as a file of ours in the kernel, where paths are others, and without what
# only concerns us here.
put()
{
	local to

	to=$repo/$(place "$1")
	mkdir -p "$(dirname "$to")"
	# $(...) ends without the empty lines that are before a part at the end.
	printf '%s\n' "$(sed -E -e '/^\.\. BEGIN out of tree$/,/^\.\. END out of tree$/d' \
		-e "s|kernel-doc:: dma_owner_debug/|kernel-doc:: $home/|" \
		-e "s#Documentation/(${manuals%|})\.rst#$manual/\1.rst#g" \
		-e "s|^(KernelVersion:\t)out of tree$|\1$version|")" >"$to"
}
version=$(awk '/^(VERSION|PATCHLEVEL) = / { v = v sep $3; sep = "." } END { print v }' "$tree/Makefile")
manuals=$(cd "$DOD_TOP/Documentation" && printf '%s|' *.rst | sed 's/\.rst//g')

# without FOLDER...: a Kbuild without what is in these.
without()
{
	local folder tokens=()

	for folder; do
		tokens+=(-e "s:[ \\t]+(\\\\\\n[ \\t]*)?${folder}[^ \\t\\n]*::g")
		tokens+=(-e "s|(\\nCFLAGS_${folder}[^ \\n]* :=)[^\\n]*|\\1|g")
	done
	sed -zE "${tokens[@]}"
}

# partial_kbuild: ours, without what is only for us and what is not there yet. A comment goes
# with the line after it, and a paragraph with its last line.
partial_kbuild()
{
	local name missing=()

	for name in attach/ judge/ owner/ guard/ report/ base/ kunit/ samples/ dma_owner_debug.o; do
		[ -e "$repo/$home/${name/%.o/.c}" ] || missing+=("$name")
	done
	sed '/^ifdef DOD_SPLIT$/,/^else$/d; /^endif$/d; s/ DOD_SPLIT=1: .*//' "$DOD_TOP/Kbuild" |
		without tools/ | sed '/[:+]=$/d' | without "${missing[@]-none/}" |
		sed 's/^.*[:+]=$/@gone/' |
		awk -v RS='' '!/@gone$/ { gsub(/(#[^\n]*\n)*@gone\n/, ""); print sep $0; sep = "\n" }'
}

# partial_kconfig: ours, the entries of $symbols
partial_kconfig()
{
	printf '%s\n' "$(awk -v want="$symbols " '
		/^config / { skip = !index(want, " " $2 " ") }
		!skip' "$DOD_TOP/Kconfig")"
}

# hook FILE: what leads to us, in a file of the kernel.
hook()
{
	local file=$repo/$1

	case $1 in
	kernel/dma/Makefile)
		# shellcheck disable=SC2016	# make's
		sed -i '/^obj-$(CONFIG_DMA_API_DEBUG)/a obj-y\t\t\t\t\t+= owner_debug/' "$file" ;;
	kernel/dma/Kconfig)
		sed -i "/^config DMA_MAP_BENCHMARK/i source \"$home/Kconfig\"\n" "$file" ;;
	Documentation/dev-tools/index.rst)
		sed -i 's|^   kfence$|&\n   dma_owner_debug/index|' "$file" ;;
	MAINTAINERS)
		# The list is where the DMA API's is; the place, alphabetical.
		printf '%s\n' 'DMA OWNER DEBUG' "M:	${user[name]} <${user[email]}>" \
			"$(sed -n '/^DMA MAPPING HELPERS$/,/^$/s/^L:/&/p' "$file" | head -n 1)" \
			'S:	Maintained' "F:	$abi" "F:	$manual/" "F:	$home/" '' >"$tmp/entry"
		sed -i "$(awk '/^DMA MAPPING /{ in_it = 1 } in_it && /^$/ { in_it = 0; last = NR }
			END { print last }' "$file") r $tmp/entry" "$file" ;;
	esac
	! git diff --quiet -- "$1" || die "$1 of this kernel is not as expected: no place for our line"
}

command git init -q --template= -b series "$repo"
grep -oh '@[^ ]*' "$tmp"/*.files | tr -d @ | while read -r file; do
	mkdir -p "$repo/$(dirname "$file")"
	cp -L "$tree/$file" "$repo/$file"
done
git add -A
git commit -q -m kernel

symbols=''
for files in "$tmp"/*.files; do
	read -ra words <"$files"
	text=${files%.files}.text
	if [ "${words[0]}" = cover ]; then
		git config branch.series.description "$(<"$text")"
		continue
	fi
	for word in "${words[@]}"; do
		case $word in
		@*) hook "${word#@}" ;;
		Kconfig/*) symbols+=" ${word#*/}" ;;
		*) while read -r file; do
				put "$file" <"$DOD_TOP/$file"
			done < <(ours "$word") ;;
		esac
	done
	partial_kbuild | put Kbuild
	[ -z "$symbols" ] || partial_kconfig | put Kconfig
	git add -A
	git commit -q -s -F "$text"
done

while read -r file; do
	case $file in
	scripts/*|tools/*|build/*) ;;
	*) [ -e "$repo/$(place "$file")" ] || die "scripts/series: no patch has $file" ;;
	esac
done < <(ours .)
mkdir -p "$out"
git format-patch --cover-letter --cover-from-description=subject -o "$out" "HEAD~$(git rev-list --count HEAD^)"
