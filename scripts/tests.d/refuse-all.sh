# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154	# variables of scripts/test
#
# The step refuse, with the kernels that take longest to build.

# shellcheck source=/dev/null
. "$DOD_TOP/scripts/tests.d/refuse.sh"
