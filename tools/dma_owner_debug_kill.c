// SPDX-License-Identifier: GPL-2.0
/*
 * For scripts/tests.d/hooks.sh: makes ftrace stop, as a bug of its own does. Nothing can
 * be hooked or unhooked until the next boot. No locks.
 */

#include <linux/kprobes.h>
#include <linux/module.h>

static struct kprobe probe = {
	.symbol_name = "ftrace_kill",
};

/* Looks the address up: a CFI entry would be another one. */
static int __nocfi __init dma_owner_kill_init(void)
{
	void (*kill)(void);
	int err = register_kprobe(&probe);

	if (err)
		return err;
	kill = (void (*)(void))probe.addr;
	unregister_kprobe(&probe);
	kill();
	pr_info("ftrace is dead\n");
	return 0;
}

static void __exit dma_owner_kill_exit(void)
{
}

module_init(dma_owner_kill_init);
module_exit(dma_owner_kill_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Stops ftrace");
