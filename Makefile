# SPDX-License-Identifier: GPL-2.0
#
# Builds the modules out of tree:  make KDIR=<kernel build directory>
# The architecture and the compiler are those of the kernel, as its .config says.

KDIR ?= /lib/modules/$(shell uname -r)/build

ifeq ($(shell grep -s '^CONFIG_CC_IS_CLANG=y' $(KDIR)/.config),CONFIG_CC_IS_CLANG=y)
# "clang version 19.1.7 ..." is clang-19 where distributions install versions
# side by side, and plain clang elsewhere.
CLANG_MAJOR := $(shell sed -n 's/^CONFIG_CLANG_VERSION=\([0-9]*\)[0-9]\{4\}$$/\1/p' $(KDIR)/.config)
LLVM ?= $(if $(shell command -v clang-$(CLANG_MAJOR)),-$(CLANG_MAJOR),1)
export LLVM
endif

KERNEL_ARCH := $(shell sed -n 's/^CONFIG_\(ARM\|ARM64\|RISCV\)=y$$/\L\1/p' $(KDIR)/.config 2>/dev/null)
ifneq ($(KERNEL_ARCH),)
ARCH ?= $(KERNEL_ARCH)
export ARCH
endif

all: modules

modules modules_install clean dma-owner-debug.ko:
	@test -e $(KDIR)/Makefile || \
		{ echo "no kernel build directory at $(KDIR): say make KDIR=<dir>" >&2; exit 1; }
	$(MAKE) -C $(KDIR) M=$(CURDIR) $@

help:
	@echo 'make [KDIR=<kernel build dir>] [W=1] [C=1]  build the modules'
	@echo 'make [...] dma-owner-debug.ko               only the tool'
	@echo 'make [...] [INSTALL_MOD_PATH=<root>] modules_install'
	@echo '                                            install them, as root'
	@echo 'make clean                                  remove what was built'
	@echo 'scripts/test                                run the tests in QEMU'
	@echo 'scripts/demo                                show the reports in QEMU'

.PHONY: all modules modules_install clean dma-owner-debug.ko help
