# For a layer whose BBFILES names this directory. The sources are the tree that this is in.
# The kernel: SRC_URI += "file://dma_owner_debug.cfg" in a linux-%.bbappend.
SUMMARY = "Reports CPU accesses to streaming-DMA memory that a device owns"
LICENSE = "GPL-2.0-only"
LIC_FILES_CHKSUM = "file://COPYING;md5=eb723b61539feef013de476e68b5c50a"

inherit module externalsrc

EXTERNALSRC = "${THISDIR}/../.."
EXTERNALSRC_BUILD = "${EXTERNALSRC}"

EXTRA_OEMAKE += "KDIR=${STAGING_KERNEL_DIR}"
MAKE_TARGETS = "modules"

# Nothing loads it: insmod it before the driver that is to be checked.
INSANE_SKIP:${PN} += "buildpaths"
