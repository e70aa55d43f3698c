// Choosing the layout of a version of Go.
//
// A layout is a row of offsets (generated) and a row of mechanisms (below). Offsets differ between
// minor versions and, rarely, between patch releases: the row of the nearest patch release serves
// those that have none of their own, and go_runtime_open's self-check refuses the target where that
// was wrong.
#include "goruntime/layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"

enum { SPECIAL_NONE = 255 };

// From runtime/mheap.go (_KindSpecial*), runtime/mbitmap.go, runtime/mgcmark_greenteagc.go and
// internal/abi/type.go (TFlagGCMaskOnDemand) of each version.
static const struct mechanisms {
	int minor;
	enum pointer_bits pointer_bits;
	enum map_kind maps;
	bool inline_mark_bits, type_mask_on_demand;
	uint8_t finalizer, weak, cleanup, profile; // kinds of specials
} mechanisms[] = {
	{19, POINTER_BITS_TWO_BIT_ARENA, MAP_BUCKETS, false, false, 1, SPECIAL_NONE, SPECIAL_NONE,
		2},
	{20, POINTER_BITS_ARENA, MAP_BUCKETS, false, false, 1, SPECIAL_NONE, SPECIAL_NONE, 2},
	{21, POINTER_BITS_ARENA, MAP_BUCKETS, false, false, 1, SPECIAL_NONE, SPECIAL_NONE, 2},
	{22, POINTER_BITS_HEADER, MAP_BUCKETS, false, false, 1, SPECIAL_NONE, SPECIAL_NONE, 2},
	{23, POINTER_BITS_HEADER, MAP_BUCKETS, false, false, 1, 2, SPECIAL_NONE, 3},
	{24, POINTER_BITS_HEADER, MAP_SWISS, false, true, 1, 2, 6, 3},
	{25, POINTER_BITS_HEADER, MAP_SWISS, false, true, 2, 3, 7, 4},
	{26, POINTER_BITS_HEADER, MAP_SWISS, true, true, 2, 3, 7, 4},
	{27, POINTER_BITS_HEADER, MAP_SWISS, true, true, 2, 3, 7, 4},
};

// GOEXPERIMENTs that change a mechanism. The others either change nothing that heapwhy reads, or
// only offsets, which the self-check finds out.
static void experiment_swissmap(struct layout *layout)
{
	layout->maps = MAP_SWISS;
}

static void experiment_noswissmap(struct layout *layout)
{
	layout->maps = MAP_BUCKETS;
}

static void experiment_greenteagc(struct layout *layout)
{
	layout->inline_mark_bits = true;
}

static void experiment_nogreenteagc(struct layout *layout)
{
	layout->inline_mark_bits = false;
}

static const struct experiment {
	const char *name;
	int first, last;                      // minor versions that know it
	void (*apply)(struct layout *layout); // NULL: not supported
} experiments[] = {
	{"swissmap", 24, 25, experiment_swissmap},
	{"noswissmap", 24, 25, experiment_noswissmap},
	{"greenteagc", 25, 27, experiment_greenteagc},
	{"nogreenteagc", 25, 27, experiment_nogreenteagc},
	// Of 1.22 only; it brings the arena bitmaps back, with offsets that no table row has.
	{"noallocheaders", 22, 22, NULL},
};

static const struct mechanisms *mechanisms_find(int minor)
{
	for (size_t i = 0; i < ARRAY_COUNT(mechanisms); i++) {
		if (mechanisms[i].minor == minor)
			return &mechanisms[i];
	}
	return NULL;
}

// "go1.26.11 ..." and "devel go1.27-0123abc ..." give minor and patch; a release candidate counts
// as patch 0.
static bool version_parse(const char *version, int *minor, int *patch)
{
	char *end;

	if (strncmp(version, "devel ", 6) == 0)
		version += 6;
	if (strncmp(version, "go1.", 4) != 0 || version[4] < '0' || version[4] > '9')
		return false;
	long number = strtol(version + 4, &end, 10);
	if (number > 1000)
		return false;
	*minor = (int)number;
	*patch = 0;
	if (end[0] == '.' && end[1] >= '0' && end[1] <= '9') {
		number = strtol(end + 1, NULL, 10);
		*patch = number > 1000 ? 1000 : (int)number;
	}
	return true;
}

static const struct layout_offsets *offsets_find(enum target_arch arch, int minor, int patch)
{
	bool arm = arch == ARCH_ARM64;
	const struct layout_offsets *table = arm ? layout_table_arm64 : layout_table;
	unsigned count = arm ? layout_table_arm64_count : layout_table_count;
	const struct layout_offsets *best = NULL;
	int best_distance = 0;

	for (unsigned i = 0; i < count; i++) {
		int row_minor, row_patch;
		if (!version_parse(table[i].version, &row_minor, &row_patch) || row_minor != minor)
			continue;
		int distance = abs(row_patch - patch);
		if (!best || distance < best_distance) {
			best = &table[i];
			best_distance = distance;
		}
	}
	return best;
}

static struct error *experiment_apply(
	struct layout *layout, const char *version, const char *name, size_t length)
{
	for (size_t i = 0; i < ARRAY_COUNT(experiments); i++) {
		const struct experiment *experiment = &experiments[i];
		if (strlen(experiment->name) != length ||
			strncmp(experiment->name, name, length) != 0 ||
			layout->minor < experiment->first || layout->minor > experiment->last)
			continue;
		if (!experiment->apply)
			return error_create(ERROR_TARGET,
				"%s: built with GOEXPERIMENT=%s, which heapwhy does not support",
				version, experiment->name);
		experiment->apply(layout);
	}
	return NULL;
}

// The names after " X:" (from 1.26 on also "-X:"), separated by commas.
static struct error *experiments_apply(struct layout *layout, const char *version)
{
	const char *names = strstr(version, "X:");

	if (!names || names == version || (names[-1] != ' ' && names[-1] != '-'))
		return NULL;
	for (names += 2; *names && *names != ' ';) {
		size_t length = strcspn(names, ", ");
		struct error *err = experiment_apply(layout, version, names, length);
		if (err)
			return err;
		names += length + (names[length] == ',');
	}
	return NULL;
}

struct error *layout_choose(const char *version, enum target_arch arch, struct layout *out)
{
	const int oldest = mechanisms[0].minor;
	const int newest = mechanisms[ARRAY_COUNT(mechanisms) - 1].minor;
	int minor, patch;

	if (!version_parse(version, &minor, &patch))
		return error_create(ERROR_TARGET,
			"\"%.64s\" is no version of Go that heapwhy can read (go1.%d to go1.%d)",
			version, oldest, newest);
	const struct mechanisms *by = mechanisms_find(minor);
	const struct layout_offsets *offsets = offsets_find(arch, minor, patch);
	if (!by || !offsets)
		return error_create(ERROR_TARGET,
			"built with go1.%d, but heapwhy knows the memory layouts of go1.%d to "
			"go1.%d",
			minor, oldest, newest);

	struct layout layout = {
		.at = *offsets,
		.minor = minor,
		.pointer_bits = by->pointer_bits,
		.maps = by->maps,
		.inline_mark_bits = by->inline_mark_bits,
		.type_mask_on_demand = by->type_mask_on_demand,
		.special_finalizer = by->finalizer,
		.special_weak = by->weak,
		.special_cleanup = by->cleanup,
		.special_profile = by->profile,
	};
	struct error *err = experiments_apply(&layout, version);
	if (!err)
		*out = layout;
	return err;
}
