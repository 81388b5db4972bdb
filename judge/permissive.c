// SPDX-License-Identifier: GPL-2.0
/*
 * What departs from the letter of the DMA API, and is not reported (rule 11): the rows of
 * permissive_rows.h, and mappings of a driver's own data. Takes no locks.
 */
#include "internal.h"
#include "permissive_rows.h"

#include <linux/netdevice.h>

bool dod_permitted(const char *function, const char *caller, u8 dir, bool strict)
{
	return is_permitted_access(function, caller, dir, strict);
}

bool dod_acts_for_caller(const char *function)
{
	return acts_for_caller(function);
}

bool dod_is_lending_exporter(const char *function)
{
	return is_lending_exporter(function);
}

/* Not the DMA core's own rows: those do not map for themselves. */
static bool maps_for_itself(const char *function, u8 dir)
{
	const struct access_row *row;

	for (row = access_rows; row < access_rows + ARRAY_SIZE(access_rows); row++)
		if (!row->core && (row->dirs & BIT(dir)) &&
		    row_matches(function, row->prefix, row->module))
			return true;
	return false;
}

bool dod_mapped_by_idiom(const struct dod_mapping *m, u8 dir)
{
	char name[DOD_NAME_CHARS];
	unsigned int f;

	for (f = 0; f < m->map.nr_frames; f++)
		if (maps_for_itself(dod_function_name(dod_frame_ip(m->map_frames[f]), name,
						      sizeof(name)), dir))
			return true;
	return false;
}

bool dod_map_permitted(u8 type, const struct dod_mapping *m)
{
	const struct map_row *row;
	char name[DOD_NAME_CHARS];
	unsigned int f;

	for (f = 0; f < m->map.nr_frames; f++) {
		row = find_map_row(type, m->kind,
				   dod_function_name(dod_frame_ip(m->map_frames[f]), name,
						     sizeof(name)));
		if (row && (!row->lent || dod_dmabuf_is_lent(m->dmabuf)) &&
		    (!row->both || m->dir == DMA_BIDIRECTIONAL))
			return true;
	}
	return false;
}

static bool contains(const struct dod_mapping *m, const void *addr)
{
	unsigned long start = (unsigned long)phys_to_virt(m->start);

	return (unsigned long)kasan_reset_tag(addr) - start <= m->last - m->start;
}

/* A mapping that begins with the data and ends in the middle of it is of a member. */
static bool is_member(const struct dod_mapping *m, const void *data)
{
	u64 end = m->last + 1, object_end;
	struct folio *folio;

	if ((unsigned long)kasan_reset_tag(data) != (unsigned long)phys_to_virt(m->start))
		return false;
	folio = dod_folio(m->start);
	object_end = dod_folio_start(folio) + folio_size(folio);
	return folio_test_slab(folio) && end < object_end &&
	       dod_mem_ops.accessible_bytes(end, object_end - 1, true) >= SMP_CACHE_BYTES;
}

/*
 * Nothing says what type a driver's data has. A network driver's is most often a struct
 * net_device, known by its parent device, or until that is set by its namespace.
 */
static bool is_net_device(const struct net_device *net, const struct device *dev)
{
#if IS_ENABLED(CONFIG_NET)
	if (dod_peek(&net->dev.parent) == dev)
		return true;
#ifdef CONFIG_NET_NS
	return dod_peek(&net->nd_net.net) == &init_net;
#endif
#endif
	return false;
}

static __always_inline bool is_data_of(const struct dod_mapping *m, const struct device *dev)
{
	const void *data = dev ? dod_peek(&dev->driver_data) : NULL;

	if (!data)
		return false;
	if (contains(m, data))
		return !is_member(m, data);
	return contains(m, netdev_priv(data)) && is_net_device(data, dev);
}

/*
 * vmxnet3 maps all of its struct vmxnet3_adapter DMA_TO_DEVICE, with locks and work in it,
 * for as long as it is bound, and the device never reads it.
 */
bool dod_is_own_data(const struct dod_mapping *m)
{
	if (likely(m->dir != DMA_TO_DEVICE) || READ_ONCE(dod_params.strict))
		return false;
	return is_data_of(m, m->dev) || is_data_of(m, dod_peek(&m->dev->parent));
}

/* May the data of a live device, or what netdev_priv() makes of it, be in the mapping? */
static __always_inline bool may_contain(const struct dod_mapping *m, const struct device *dev)
{
	unsigned long start = (unsigned long)phys_to_virt(m->start);
	unsigned long before = (unsigned long)netdev_priv(NULL);
	const void *data = kasan_reset_tag(READ_ONCE(dev->driver_data));

	return (unsigned long)data - (start - before) <= m->last - m->start + before;
}

bool dod_maps_own_data(const struct dod_call *call, const struct dod_mapping *m)
{
	const struct device *dev = call->dev, *parent = dev->parent;

	if (likely(!may_contain(m, dev) && !(parent && may_contain(m, parent))))
		return false;
	return dod_is_own_data(m);
}
