# make BR2_EXTERNAL=<the tool>/packaging/buildroot: the sources are the tree that this is in.
DMA_OWNER_DEBUG_VERSION = 1.1
DMA_OWNER_DEBUG_SITE = $(BR2_EXTERNAL_DMA_OWNER_DEBUG_PATH)/../..
DMA_OWNER_DEBUG_SITE_METHOD = local
DMA_OWNER_DEBUG_LICENSE = GPL-2.0
DMA_OWNER_DEBUG_LICENSE_FILES = COPYING

$(eval $(kernel-module))
$(eval $(generic-package))
