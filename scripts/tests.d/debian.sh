# SPDX-License-Identifier: GPL-2.0
#
# The Debian package: built and looked through by lintian. What is in it, dkms adds, builds
# and installs for Debian's own kernel, which then loads it with modprobe.

# The work tree as it is, without what was built there.
debian_source()
{
	mkdir -p "$1"
	(cd "$DOD_TOP" && find . -path './.*' -prune -o -path ./build -prune -o -type f \
		! -name '*.o' ! -name '*.ko' ! -name '*.mod*' ! -name '*.cmd' -print0 |
		cpio -0 -p -d -m --quiet "$1")
}

debian_package()
{
	local log=$logs/debian-package.log

	debian_source "$tmp/deb/source"
	check "dpkg-buildpackage" status_of 0 "$log" env -C "$tmp/deb/source" \
		dpkg-buildpackage -us -uc -b
	check "one package" [ "$(find "$tmp/deb" -name '*.deb' | wc -l)" = 1 ]
	check "lintian finds no error, and no other fault" status_of 0 "$logs/lintian.log" \
		lintian --allow-root --fail-on error,warning "$tmp"/deb/*.changes
	check "one version in dkms.conf and debian/changelog" [ "$name" = \
		"$(dpkg-parsechangelog -l "$DOD_TOP/debian/changelog" -S Source)/$(
		dpkg-parsechangelog -l "$DOD_TOP/debian/changelog" -S Version)" ]
	dpkg-deb -R "$tmp"/deb/*.deb "$tmp/deb/root"
	check "it depends on dkms" grep -q '^Depends: .*dkms' "$tmp/deb/root/DEBIAN/control"
	check "its postinst calls dkms" grep -q dkms "$tmp/deb/root/DEBIAN/postinst"
}

debian_dkms()
{
	local log=$logs/debian-dkms.log common

	# dkms makes a key for signatures if it knows a program to sign with. What it needs
	# in the guest, it need not have here.
	common=(--dkmstree "$tmp/dkms/tree" --sourcetree "$tmp/deb/root/usr/src"
		--installtree "$tmp/dkms/lib/modules" "$name")
	mkdir -p "$tmp/dkms/tree" "$tmp/dkms/lib/modules/$abi"
	run=(env "TMPDIR=$tmp" sign_file=none dkms)
	check "dkms add" status_of 0 "$log" "${run[@]}" add "${common[@]}"
	check "dkms build" status_of 0 "$log" "${run[@]}" build "${common[@]}" -k "$abi" \
		-a "$arch" --kernelsourcedir "$stock" --config "$stock/.config"
	check "dkms install" status_of 0 "$log" "${run[@]}" install "${common[@]}" -k "$abi" \
		-a "$arch" --kernelsourcedir "$stock" --no-depmod --no-initrd
	ko=$(find "$tmp/dkms/lib/modules" -name 'dma-owner-debug.ko*')
	check "it is where modprobe looks" [ -n "$ko" ]
}

# Debian's kernel with what dkms has installed.
debian_boot()
{
	mkdir -p "$tmp/tree"
	cp -a "$stock/modules/." "$tmp/tree"
	cp -a "$tmp/dkms/lib/modules/." "$tmp/tree/lib/modules"
	depmod -b "$tmp/tree" "$abi"
	check "modprobe, and modprobe -r" vm "$stock" --tree "$tmp/tree" --timeout 120 -- \
		'modprobe dma-owner-debug' 'grep -q "^dma_owner_debug " /proc/modules' \
		'modprobe -r dma-owner-debug' '[ ! -e /sys/module/dma_owner_debug ]'
	check "it guards" grep -q 'dma_owner_debug: guarding streaming DMA with ' "$console"
	check "no complaint" no_complaints "$console"
}

need_packages dkms kmod debhelper dh-dkms lintian dpkg-dev cpio
stock=$("$DOD_TOP/scripts/kernel" "$arch-6.12-stock" | tail -n 1)
name=dma-owner-debug/$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' "$DOD_TOP/dkms.conf")
abi=$(basename "$stock"/modules/lib/modules/*)
debian_package
debian_dkms
debian_boot
