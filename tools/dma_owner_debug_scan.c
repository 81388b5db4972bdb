// SPDX-License-Identifier: GPL-2.0
/*
 * Reads the KASAN shadow of all RAM, and the page table of KFENCE's pool, and fails if
 * dma_owner_debug left something there. Uses nothing of the tool, so that it can look after the
 * tool is gone; while mappings are live, what it finds is theirs.
 */

#include <kunit/test.h>
#include <linux/kasan.h>
#include <linux/kfence.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/module.h>
#include <linux/nodemask.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#ifdef CONFIG_KASAN_GENERIC

#define GRANULE		8
#define PER_PAGE	(PAGE_SIZE / GRANULE)	/* Shadow bytes of a page. */

/*
 * The tool's values: whole granules, and 0x80 | direction << 3 | bytes for the
 * partial one in which a mapping ends. A copy on purpose: a scanner that shares
 * the tool's header shares its mistakes.
 */
static bool is_value(u8 byte)
{
	return (byte >= 0xd1 && byte <= 0xd5) ||
	       (byte > 0x88 && byte < 0xa0 && (byte & 7));
}

struct found {
	unsigned long pages, bytes;
	void *first;		/* The memory of the first such byte. */
	u8 value;
};

static void scan_page(struct page *page, struct found *found)
{
	u8 *mem = page_address(page);
	const u8 *shadow = kasan_mem_to_shadow(mem);
	int i, j;

	found->pages++;
	for (i = 0; i < PER_PAGE; i += sizeof(u64)) {
		u64 word = READ_ONCE(*(const u64 *)(shadow + i));

		/* Nearly all memory is accessible, or free. */
		if (!word || !~word)
			continue;
		for (j = i; j < i + sizeof(u64); j++) {
			u8 byte = READ_ONCE(shadow[j]);

			if (!is_value(byte))
				continue;
			if (!found->bytes++) {
				found->first = mem + j * GRANULE;
				found->value = byte;
			}
		}
	}
}

/* Memory that firmware reserved may have no shadow. */
static bool has_shadow(struct page *page)
{
	u8 byte;

	if (!PageReserved(page))
		return true;
	pagefault_disable();
	__get_kernel_nofault(&byte, kasan_mem_to_shadow(page_address(page)), u8, fault);
	pagefault_enable();
	return true;
fault:
	pagefault_enable();
	return false;
}

/*
 * Reserved pages and holes may share KASAN's page of zeroes, which is harmless
 * to read. Highmem has no shadow, device memory only that page of zeroes.
 */
static struct found scan_ram(void)
{
	struct found found = {};
	int nid;

	for_each_online_node(nid) {
		unsigned long pfn = node_start_pfn(nid), end = node_end_pfn(nid);

		for (; pfn < end; pfn++) {
			struct page *page = pfn_valid(pfn) ? pfn_to_online_page(pfn) : NULL;

			if (page && !PageHighMem(page) && !is_zone_device_page(page) &&
			    has_shadow(page))
				scan_page(page, &found);
			if (!(pfn % 1024))
				cond_resched();
		}
	}
	return found;
}

static u8 *plain_object(struct kunit *test, size_t size)
{
	u8 *obj;

	do {
		obj = kunit_kzalloc(test, size, GFP_KERNEL);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, obj);
	} while (is_kfence_address(obj));
	return obj;
}

/* Every value, in every place of a word, and none of their neighbours. */
static void finds_each_value(struct kunit *test)
{
	u8 *obj = plain_object(test, 1024);
	u8 *shadow = kasan_mem_to_shadow(obj);
	int value, at;

	for (value = 0x80; value < 0x100; value++) {
		for (at = 0; at < 8; at++) {
			struct found found = {};

			WRITE_ONCE(shadow[8 + at], value);
			scan_page(virt_to_page(obj), &found);
			WRITE_ONCE(shadow[8 + at], 0);
			KUNIT_EXPECT_EQ_MSG(test, found.bytes, is_value(value), "value %02x at %d",
					    value, at);
			if (found.bytes)
				KUNIT_EXPECT_PTR_EQ(test, found.first, (void *)obj + 64 + 8 * at);
		}
	}
}

/* One byte in all of RAM is enough. */
static void finds_one_byte(struct kunit *test)
{
	u8 *obj = plain_object(test, 64);
	u8 *shadow = kasan_mem_to_shadow(obj);
	unsigned long before = scan_ram().bytes;
	struct found found;

	WRITE_ONCE(shadow[3], 0xd2);
	found = scan_ram();
	WRITE_ONCE(shadow[3], 0);
	if (before)
		kunit_skip(test, "there are such bytes already: no_byte_left will tell");
	KUNIT_EXPECT_EQ(test, found.bytes, 1UL);
	KUNIT_EXPECT_PTR_EQ(test, found.first, (void *)obj + 24);
	KUNIT_EXPECT_EQ(test, found.value, 0xd2);
}

static void covers_the_ram(struct kunit *test)
{
	struct found found = scan_ram();

	KUNIT_EXPECT_GE(test, found.pages, totalram_pages());
}

static void no_byte_left(struct kunit *test)
{
	struct found found = scan_ram();

	KUNIT_EXPECT_EQ_MSG(test, found.bytes, 0UL, "%lu bytes, first %02x for %lx", found.bytes,
			    found.value, (unsigned long)found.first);
}

#else /* CONFIG_KASAN_GENERIC */

static void no_byte_left(struct kunit *test)
{
	kunit_skip(test, "Test requires: CONFIG_KASAN_GENERIC");
}

#endif /* CONFIG_KASAN_GENERIC */

#if defined(CONFIG_X86_64) && defined(CONFIG_KFENCE)
#define HAS_KFENCE_PAGES

static pteval_t *entry_at(unsigned long addr)
{
	unsigned int level;
	pte_t *pte = lookup_address(addr, &level);

	return pte && level == PG_LEVEL_4K ? (pteval_t *)pte : NULL;
}

/* Pages with the tool's mark, or that cannot be written. */
static unsigned int protected_pages(void)
{
	unsigned long addr = (unsigned long)__kfence_pool, end = addr + KFENCE_POOL_SIZE;
	unsigned int nr = 0;

	for (; addr < end; addr += PAGE_SIZE) {
		pteval_t *entry = entry_at(addr), val = entry ? READ_ONCE(*entry) : _PAGE_RW;

		nr += val & _PAGE_SOFTW2 || (val & _PAGE_PRESENT && !(val & _PAGE_RW));
	}
	return nr;
}

/* The first page of the pool, which nobody accesses, and which is not present. */
static void finds_protected_page(struct kunit *test)
{
	unsigned int before;
	pteval_t *entry;

	if (!__kfence_pool)
		kunit_skip(test, "KFENCE has no pool");
	entry = entry_at((unsigned long)__kfence_pool);
	KUNIT_ASSERT_NOT_NULL(test, entry);
	before = protected_pages();
	WRITE_ONCE(*entry, *entry | _PAGE_SOFTW2);
	KUNIT_EXPECT_EQ(test, protected_pages(), before + 1);
	WRITE_ONCE(*entry, *entry & ~_PAGE_SOFTW2);
	KUNIT_EXPECT_EQ(test, protected_pages(), before);
}

static void no_page_protected(struct kunit *test)
{
	if (!__kfence_pool)
		kunit_skip(test, "KFENCE has no pool");
	KUNIT_EXPECT_EQ(test, protected_pages(), 0U);
}

#endif

static struct kunit_case scan_cases[] = {
#ifdef CONFIG_KASAN_GENERIC
	KUNIT_CASE(finds_each_value),
	KUNIT_CASE(finds_one_byte),
	KUNIT_CASE(covers_the_ram),
#endif
	KUNIT_CASE(no_byte_left),
#ifdef HAS_KFENCE_PAGES
	KUNIT_CASE(finds_protected_page),
	KUNIT_CASE(no_page_protected),
#endif
	{}
};

static struct kunit_suite scan_suite = {
	.name = "dma_owner_scan",
	.test_cases = scan_cases,
};

kunit_test_suite(scan_suite);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Looks for shadow bytes that dma_owner_debug left behind");
