// A control group's memory (cgroup version 2): what it uses, its limits, and a budget that follows them.
//
//	struct hw_cgroup group;
//	enum hw_cgroup_status status = hw_cgroup_find(&group, NULL);     // the one that this process is in
//	if (status != HW_CGROUP_FOUND)
//		fprintf(stderr, "no limits: %s\n", hw_cgroup_words(status));
//	else
//		hw_cgroup_limit(&group, &service, 64 << 20);             // once a second is often enough
//
//	uint64_t bytes;
//	hw_cgroup_read(&group, HW_CGROUP_CURRENT, &bytes);
//	hw_cgroup_write(&group, HW_CGROUP_HIGH, UINT64_C(12) << 30);     // for those who may
//
// Nothing is kept but the group's directory, and nothing is open between calls; all calls read files of the kernel's,
// microseconds each. Thread-safe. A group moved or renamed is to be found anew.
#ifndef HEAPWHY_CGROUP_H
#define HEAPWHY_CGROUP_H

#include <stdint.h>

#include "heapwhy/budget.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { HW_CGROUP_PATH_MAX = 4096 };

struct hw_cgroup {
	char directory[HW_CGROUP_PATH_MAX]; // "/sys/fs/cgroup/system.slice/orders.service"
};

enum hw_cgroup_status {
	HW_CGROUP_FOUND,
	HW_CGROUP_NONE,      // no control groups here
	HW_CGROUP_VERSION_1, // memory is counted by a hierarchy of version 1, whose files are others
	HW_CGROUP_HIDDEN,    // the group lies outside of what can be seen from here
	HW_CGROUP_NO_MEMORY,  // the group does not count memory: the root, or its controller is off
	HW_CGROUP_UNREADABLE, // errno says why
};

// The same in words, for a message.
const char *hw_cgroup_words(enum hw_cgroup_status status);

// The group of the calling process. `root` is put before /proc and /sys, to look at another system's; NULL: this one's.
enum hw_cgroup_status hw_cgroup_find(struct hw_cgroup *group, const char *root);

// A group whose directory is known. `group` is untouched unless it is found; the same holds for hw_cgroup_find().
enum hw_cgroup_status hw_cgroup_open(struct hw_cgroup *group, const char *directory);

// In bytes; UINT64_MAX is the kernel's "max", which means no limit.
enum hw_cgroup_value {
	HW_CGROUP_CURRENT, // in use by the group and all below it
	HW_CGROUP_MIN,     // never reclaimed
	HW_CGROUP_LOW,     // reclaimed last
	HW_CGROUP_HIGH,    // beyond it allocations are slowed down
	HW_CGROUP_MAX,     // beyond it the kernel kills
};

// Both return 0 or an error number: ENOENT where the kernel has no such file, EBADMSG where it holds no number, EINVAL
// for writing what is in use. `bytes` is untouched on failure.
int hw_cgroup_read(const struct hw_cgroup *group, enum hw_cgroup_value value, uint64_t *bytes);
int hw_cgroup_write(const struct hw_cgroup *group, enum hw_cgroup_value value, uint64_t bytes);

// How many bytes the group may still take before `limit` (HW_CGROUP_HIGH or HW_CGROUP_MAX) of its own or of any group
// above it is reached. Page cache counts as free: the kernel drops it first. UINT64_MAX: there is no limit.
int hw_cgroup_room(const struct hw_cgroup *group, enum hw_cgroup_value limit, uint64_t *bytes);

// Sets the budget's limits to what it uses now and the room that is left, less `margin` bytes for all that is not in the
// budget: the soft limit by HW_CGROUP_HIGH, the hard one by HW_CGROUP_MAX. Returns as above; after a failure the limits
// are what they were.
int hw_cgroup_limit(const struct hw_cgroup *group, struct hw_budget *budget, uint64_t margin);

#ifdef __cplusplus
}
#endif

#endif
