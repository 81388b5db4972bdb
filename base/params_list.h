/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The parameters: DOD_PARAM(name, type, value at load, operations, permissions, description).
 * Included wherever something is made of them. No include guard.
 *
 * Operations are the kernel's, those of params.c, or, where a change concerns other files, those
 * of dma_owner_debug.c, which makes the parameters out of this list.
 */
DOD_PARAM(fault, u8, DOD_FAULT_REPORT, dod_fault_ops, 0600,
	  "after a report: \"report\" goes on, \"panic\" panics (default: report)")
DOD_PARAM(strict, bool, false, param_ops_bool, 0600,
	  "go by the letter of the DMA API: report also its known departures, and what loses nothing, or not yet (default: N)")
DOD_PARAM(trap_user, bool, false, param_ops_bool, 0600,
	  "trap also in memory that user space or the page cache can reach, where legal races exist (default: N)")
DOD_PARAM(off_types, struct dod_list, {}, off_types_ops, 0600,
	  "report types to switch off, comma-separated (default: none)")
DOD_PARAM(off_drivers, struct dod_list, {}, off_drivers_ops, 0600,
	  "drivers not to report, as [type:]glob, comma-separated (default: none)")
DOD_PARAM(off_devices, struct dod_list, {}, off_devices_ops, 0600,
	  "devices not to report, as [type:]glob, comma-separated (default: none)")
DOD_PARAM(dedup, bool, true, dedup_ops, 0600,
	  "report the same fault once; writing it forgets what was reported (default: Y)")
DOD_PARAM(history, bool, true, history_ops, 0600,
	  "say in a report how its bytes came to be whose they are (default: Y)")
DOD_PARAM(report_burst, unsigned int, 20, param_ops_uint, 0600,
	  "most reports in 5 s, 0 for no limit (default: 20)")
DOD_PARAM(kunit_fail, bool, true, param_ops_bool, 0600,
	  "a report fails the KUnit test that runs (default: Y)")
DOD_PARAM(noncoherent, unsigned int, 0, dod_noncoherent_ops, 0600,
	  "check all devices as if they were not cache-coherent, with lines of so many bytes; 0 checks each as it is (default: 0)")
DOD_PARAM(untested_after, unsigned int, 60, param_ops_uint, 0600,
	  "seconds of use without an address above 4 GiB, after which a wider mask is noted as untested (default: 60)")
DOD_PARAM(pending_after, unsigned int, 60, pending_after_ops, 0600,
	  "seconds after which a write to a DMA_TO_DEVICE mapping that nobody syncs is noted (default: 60)")
DOD_PARAM(wires, struct dod_list, {}, wires_ops, 0600,
	  "address lines that devices really have, as <device or driver glob>:<bits>, comma-separated (default: none)")
DOD_PARAM(content, u8, DOD_CONTENT_ON, dod_content_ops, 0600,
	  "notice what changes content unseen: \"off\", \"sample\" for one mapping in content_sample, \"on\" for all (default: on)")
DOD_PARAM(content_sample, unsigned int, 16, dod_count_ops, 0600,
	  "with content=sample, compare one mapping in so many (default: 16)")
DOD_PARAM(content_max, unsigned int, 4096, dod_content_max_ops, 0600,
	  "most bytes of a mapping that are compared, half of them at each end, 128 to 4096 (default: 4096)")
DOD_PARAM(watch_writes, unsigned int, 64, param_ops_uint, 0600,
	  "with devices that are not coherent, or are checked as such: remember the CPU's first write to one of so many ranges synced for it, 1 for all, 0 for none (default: 64)")
DOD_PARAM(canary, bool, false, param_ops_bool, 0600,
	  "fill DMA_FROM_DEVICE memory with a pattern before the device owns it, and report what comes back untouched: changes what drivers find in buffers that the device did not use (default: N)")
DOD_PARAM(watch_cpu, unsigned int, 20, dod_percent_ops, 0600,
	  "with KCSAN, percent of a CPU's time that watching for wrong accesses may take, 0 to stop (default: 20)")
DOD_PARAM(watch_recent, unsigned int, 75, dod_percent_ops, 0600,
	  "with KCSAN, percent of the watches that go to what was mapped or synced last, the others to any mapping (default: 75)")
DOD_PARAM(kfence, bool, true, param_ops_bool, 0400,
	  "on x86_64, trap also in objects of KFENCE, by protecting their pages (default: on)")
DOD_PARAM(map_frames, unsigned int, DOD_MAP_FRAMES, dod_map_frames_ops, 0600,
	  "most frames of a map call's stack that are kept, 1 to 12 (default: 12)")
DOD_PARAM(pool_reserve, unsigned int, 8192, dod_count_ops, 0400,
	  "records that are free for new mappings at load (default: 8192)")
DOD_PARAM(pool_max, unsigned int, 1048576, dod_count_ops, 0400,
	  "most records to allocate (default: 1048576)")

#undef DOD_PARAM
