// SPDX-License-Identifier: GPL-2.0
/*
 * What a kernel cannot do, and the reasons: cases that need KASAN's traps or its shadow are
 * skipped where there is none, and say so. What a case needs beyond that it asks itself, by
 * KT_REQUIRES().
 */

#include <linux/glob.h>
#include <linux/string.h>

#include "kt.h"

#define NO_TRAPS "Test requires: accesses that trap (CONFIG_KASAN_GENERIC)"
#define NO_SHADOW "Test requires: KASAN's shadow (CONFIG_KASAN_GENERIC)"

/*
 * By suite and name. Cases with NO_TRAPS make wrong accesses of their own, those with
 * NO_SHADOW are about what only the shadow tells.
 */
static const struct {
	const char *glob, *why;
} need_kasan[] = {
	{ "map.granule_shared_with_cpu_silent", NO_SHADOW },
	{ "map.mapping_of_large_kmalloc_traps", NO_SHADOW },
	{ "map.pages_allocated_again_clean", NO_SHADOW },
	{ "sg.table_of_300_entries_traps", NO_SHADOW },
	{ "sg.report_of_list_names_sg_calls", NO_TRAPS },
	{ "sync.odd_size_synced_shadow_restored", NO_SHADOW },
	{ "sync.alternate_parts_synced_merge", NO_SHADOW },
	{ "sync.random_syncs_match_bitmap", NO_SHADOW },
	{ "sync.many_parts_cpu_bytes_silent", NO_SHADOW },
	{ "unmap.list_read_after_skipping_unmap_traps", NO_TRAPS },
	{ "access.reported_*", NO_TRAPS },
	{ "access.atomics_*", NO_TRAPS },
	{ "access.mem*", NO_TRAPS },
	{ "access.copy_*", NO_TRAPS },
	{ "access.hash_*", NO_TRAPS },
	{ "access.checksum_*", NO_TRAPS },
	{ "pending.*", NO_TRAPS },
	{ "overlap.access_report_names_owner", NO_TRAPS },
	{ "overlap.unmap_by_device_ends_its_own", NO_TRAPS },
	{ "overlap.odd_tails_shadow_restored", NO_SHADOW },
	{ "lost.write_then_unmap_reported", NO_TRAPS },
	{ "lost.write_then_sync_for_cpu_reported", NO_TRAPS },
	{ "lost.tailroom_write_unsynced_reported", NO_TRAPS },
	{ "lost.write_beside_synced_reported", NO_TRAPS },
	{ "noncoherent.bad_line_sizes_*", NO_SHADOW },
	{ "noncoherent.real_line_*", NO_SHADOW },
	{ "noncoherent.real_edge_*", NO_TRAPS },
	{ "noncoherent.small_bounced_*", NO_SHADOW },
	{ "edges.write_beside_*", NO_TRAPS },
	{ "edges.edges_of_other_*", NO_TRAPS },
	{ "edges.two_buffers_*", NO_SHADOW },
	{ "edges.beside_*", NO_SHADOW },
	{ "edges.redzones_*", NO_SHADOW },
	{ "edges.fill_*", NO_TRAPS },
	{ "idioms.page_table_written_excused", NO_TRAPS },
	{ "idioms.page_table_in_module_reported", NO_TRAPS },
	{ "idioms.page_table_from_device_reported", NO_TRAPS },
	{ "idioms.bounce_copy_excused", NO_TRAPS },
	{ "out_of_bounds.past_*", NO_SHADOW },
	{ "out_of_bounds.from_middle_*", NO_SHADOW },
	{ "out_of_bounds.after_*", NO_SHADOW },
	{ "out_of_bounds.rounded_up_*", NO_SHADOW },
	{ "out_of_bounds.*bad_entry_*", NO_SHADOW },
	{ "out_of_bounds.freed_*", NO_SHADOW },
	{ "out_of_bounds.into_freed_*", NO_SHADOW },
	{ "lines.middle_*", NO_SHADOW },
	{ "lines.start_*", NO_SHADOW },
	{ "lines.end_*", NO_SHADOW },
	{ "lines.one_byte_*", NO_SHADOW },
	{ "lines.other_line_sizes_*", NO_SHADOW },
	{ "lines.list_*", NO_SHADOW },
	{ "lines.two_lists_*", NO_SHADOW },
	{ "lines.fragment_after_*", NO_SHADOW },
	{ "lines.parts_*", NO_SHADOW },
	{ "lines.no_skb_*", NO_SHADOW },
	{ "content.excused_write_is_no_change", NO_TRAPS },
	{ "content.filtered_write_is_no_change", NO_TRAPS },
	/* Pages: without KASAN, only the content of slab memory is judged. */
	{ "content.ends_of_long_buffer_reported", NO_TRAPS },
	{ "dmabuf.wrong_*", NO_TRAPS },
	{ "dmabuf.mmap_*", NO_TRAPS },
	{ "dmabuf.mapping_*", NO_TRAPS },
	{ "device_writes.overrun_*", NO_SHADOW },
	{ "device_writes.kasan_*", NO_SHADOW },
	/* What is stale without a shadow is not known. */
	{ "free.part_device_owns_*", NO_SHADOW },
	{ "free.neighbour_of_long_mapping_freed_silent", NO_SHADOW },
	/* Without its quarantine, a new device may be where an old one was. */
	{ "unbind.iommu_fault_named", NO_SHADOW },
	{ "report.*", NO_TRAPS },
	{ "filters.type_off_silent", NO_TRAPS },
	{ "filters.device_off_silent", NO_TRAPS },
	{ "filters.driver_off_silent", NO_TRAPS },
	{ "filters.type_off_for_device_silent", NO_TRAPS },
	{ "filters.type_off_for_driver_silent", NO_TRAPS },
	{ "context.write_in_irq_reported", NO_TRAPS },
	{ "context.mapped_in_irq_traps", NO_TRAPS },
	{ "context.write_with_irqs_off_reported", NO_TRAPS },
	{ "legal.many_live_mappings_silent", NO_SHADOW },
	{ "regions.content_of_two_regions_reported", NO_TRAPS },
	{ "ranges.*", NO_SHADOW },
	{ "bounced.*", NO_TRAPS },
};

static const char *suite_name;

/**
 * kt_skip_start() - Note which suite runs.
 * @suite: the suite
 */
void kt_skip_start(const struct kunit_suite *suite)
{
	suite_name = suite->name + strlen(KT_SUITE_PREFIX);
}

/**
 * kt_skip_unable() - Skip a test that this kernel cannot run.
 * @test: the test
 */
void kt_skip_unable(struct kunit *test)
{
	char name[96];
	int i;

	if (IS_ENABLED(CONFIG_KASAN_GENERIC))
		return;
	snprintf(name, sizeof(name), "%s.%s", suite_name, test->name);
	for (i = 0; i < ARRAY_SIZE(need_kasan); i++)
		if (glob_match(need_kasan[i].glob, name))
			kunit_skip(test, "%s", need_kasan[i].why);
}

/**
 * kt_traps() - Does an access to what a device owns trap at once?
 * @test: the test that asks; if not, it counts as skipped, though it goes on
 *
 * Return: true if it does.
 */
bool kt_traps(struct kunit *test)
{
	if (IS_ENABLED(CONFIG_KASAN_GENERIC))
		return true;
	if (test->status == KUNIT_SUCCESS)
		kunit_mark_skipped(test, NO_TRAPS);
	return false;
}
