// SPDX-License-Identifier: GPL-2.0
/*
 * Hooks of functions outside the DMA API: frees that have no tracepoint, dma-bufs, shutdown and
 * panic. No locks. The self-test cannot call them, and not every kernel has them.
 */
#include "../base/params.h"
#include "../base/state.h"
#include "../judge/dmabuf.h"
#include "../judge/judge.h"
#include "hooks.h"

#include <linux/dma-buf.h>
#include <linux/fs.h>
#include <linux/kallsyms.h>
#include <linux/kernel.h>
#include <linux/string.h>

/* === Frees ================================================================ */

/* kmem_cache_free_bulk(cache, nr, objects): also kfree_bulk(), and so kfree_rcu() */
HOOK_EVENT(dod_on_free_bulk)
{
	void **objects = (void **)dod_arg(fregs, 2);
	size_t nr = dod_arg(fregs, 1), i;

	for (i = 0; i < nr; i++)
		dod_lifecycle_free(objects[i], caller);
}

/* kfree_nolock(object) */
HOOK_EVENT(dod_on_free_nolock)
{
	dod_lifecycle_free((void *)dod_arg(fregs, 0), caller);
}

/* mempool_free(element, pool) */
HOOK_EVENT(dod_on_pool_free)
{
	dod_lifecycle_pool_free((void *)dod_arg(fregs, 0),
				(mempool_t *)dod_arg(fregs, 1), caller);
}

/* mempool_free_bulk(pool, elements, nr) */
HOOK_EVENT(dod_on_pool_free_bulk)
{
	void **elements = (void **)dod_arg(fregs, 1);
	unsigned int nr = dod_arg(fregs, 2), i;

	for (i = 0; i < nr; i++)
		dod_lifecycle_pool_free(elements[i], (mempool_t *)dod_arg(fregs, 0), caller);
}

/* === dma-bufs ============================================================= */

#if IS_ENABLED(CONFIG_DMA_SHARED_BUFFER)
/* dma_buf_map_attachment(attachment, direction), and _unlocked() with a copy of it in it */
HOOK_EVENT(dod_on_dmabuf_map)
{
	const struct dma_buf_attachment *attachment = (void *)dod_arg(fregs, 0);

	if (attachment && attachment->dmabuf)
		dod_dmabuf_map(attachment->dmabuf);
}

/* dma_buf_mmap(dmabuf, vma, pgoff): through another file */
HOOK_EVENT(dod_on_dmabuf_mmap)
{
	const struct dma_buf *buf = (void *)dod_arg(fregs, 0);

	if (buf)
		dod_dmabuf_mmap(buf);
}

/* dma_buf_mmap_internal(file, vma): through its own */
HOOK_EVENT(dod_on_dmabuf_mmap_internal)
{
	const struct file *file = (void *)dod_arg(fregs, 0);

	dod_dmabuf_mmap(file->private_data);
}
#endif

/* === The end ============================================================== */

/*
 * Restart and kexec leave the memory to whoever boots next. After power-off and halt nobody
 * reads it.
 */
static bool memory_lives_on(void)
{
	if (READ_ONCE(dod_params.strict))
		return system_state > SYSTEM_RUNNING && system_state <= SYSTEM_RESTART;
	return system_state == SYSTEM_RESTART;
}

/*
 * cpu_hotplug_disable(): restart, halt, power-off and kexec call it when the drivers'
 * shutdown() has run, through migrate_to_reboot_cpu(), which compilers inline. Others call it,
 * too.
 */
HOOK_EVENT(dod_on_shutdown)
{
	static const char * const callers[] = {
		"migrate_to_reboot_cpu", "kernel_restart", "kernel_halt",
		"kernel_power_off", "kernel_kexec",
	};
	char name[KSYM_SYMBOL_LEN];

	if (!memory_lives_on())
		return;
	sprint_symbol_no_offset(name, caller);
	if (match_string(callers, ARRAY_SIZE(callers), name) >= 0)
		dod_lifecycle_shutdown();
}

/* panic(): before it stops the other CPUs and prints anything. Also in NMI. */
HOOK_EVENT(dod_on_panic)
{
	WRITE_ONCE(dod_panicking, true);
}
