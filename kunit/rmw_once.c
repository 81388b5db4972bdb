// SPDX-License-Identifier: GPL-2.0
/*
 * x++ and x |= y in a driver that is built without -asan-opt-same-temp=0: see Kbuild.
 */

#include "rmw.h"

RMW_DEFINE(test_once)
