# SPDX-License-Identifier: GPL-2.0
#
# Builds the modules out of tree:  make KDIR=<kernel build directory>
# The compiler is the one the kernel was built with, as its .config says.

KDIR ?= /lib/modules/$(shell uname -r)/build

ifeq ($(shell grep -s '^CONFIG_CC_IS_CLANG=y' $(KDIR)/.config),CONFIG_CC_IS_CLANG=y)
# "clang version 19.1.7 ..." is clang-19 where distributions install versions
# side by side, and plain clang elsewhere.
CLANG_MAJOR := $(shell sed -n 's/^CONFIG_CLANG_VERSION=\([0-9]*\)[0-9]\{4\}$$/\1/p' $(KDIR)/.config)
LLVM ?= $(if $(shell command -v clang-$(CLANG_MAJOR)),-$(CLANG_MAJOR),1)
export LLVM
endif

# The architecture is the kernel's, too.
KARCH := $(shell sed -n 's/^CONFIG_\(X86_64\|ARM64\|ARM\)=y/\1/p' $(KDIR)/.config 2>/dev/null | head -n 1)
export ARCH ?= $(or $(patsubst X86_64,x86_64,$(patsubst ARM64,arm64,$(patsubst ARM,arm,$(KARCH)))),$(shell uname -m))

all: modules

modules modules_install clean:
	@test -e $(KDIR)/Makefile || \
		{ echo "no kernel build directory at $(KDIR): say make KDIR=<dir>" >&2; exit 1; }
	$(MAKE) -C $(KDIR) M=$(CURDIR) $@

help:
	@echo 'make [KDIR=<kernel build dir>] [W=1] [C=1]  build the modules'
	@echo 'make modules_install                        install them'
	@echo 'make clean                                  remove what was built'
	@echo 'scripts/test                                run all tests in QEMU'
	@echo 'scripts/demo                                show the reports in QEMU'

.PHONY: all modules modules_install clean help
