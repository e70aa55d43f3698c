// The kernel's include/uapi/linux/fs.h, Linux 6.7 on: an ioctl of /proc/PID/pagemap lists the pages of some kinds without a
// word for each page that is not there. Sanitizers and Go's race detector reserve terabytes.
#ifndef TARGET_PAGE_SCAN_H
#define TARGET_PAGE_SCAN_H

#include <stdint.h>
#include <sys/ioctl.h>

struct page_run {
	uint64_t start, end, categories;
};

struct page_scan {
	uint64_t size, flags, start, end, walk_end, runs, run_count, max_pages;
	uint64_t inverted, mask, any_of, returned;
};

#define PAGEMAP_SCAN _IOWR('f', 16, struct page_scan)

enum { PAGE_IS_FILE = 1 << 2, PAGE_IS_PRESENT = 1 << 3, PAGE_IS_SWAPPED = 1 << 4 };

#endif
