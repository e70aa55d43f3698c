// Where the fields of Go's runtime lie, and by which mechanisms it works, for one version of Go.
//
// The offsets come from layout_table.c, generated out of the toolchains' own debug information
// (`make layouts`); the mechanisms are rows of layout.c, written by hand, because no debug
// information tells them.
#ifndef GORUNTIME_LAYOUT_H
#define GORUNTIME_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "target/target.h"

struct error;
struct executable;

// How the collector knows which words of an object are pointers.
enum pointer_bits {
	// go 1.19: two bits a word in heapArena.bitmap (pointer, and scan on)
	POINTER_BITS_TWO_BIT_ARENA,
	// go 1.20-1.21: one bit a word in heapArena.bitmap, plus noMorePtrs
	POINTER_BITS_ARENA,
	// go 1.22 on: a bitmap at the span's end for objects up to 512 B; for larger ones the type,
	// in the object's malloc header or in span.largeType
	POINTER_BITS_HEADER,
};

enum map_kind {
	MAP_BUCKETS, // hmap and bmap, to 1.23
	MAP_SWISS,   // groups and tables, 1.24 on
};

struct layout_offsets {
	const char *version; // "go1.26.11": the toolchain it was read from
#define LAYOUT_FIELD(name, structure, field) int32_t name;
#define LAYOUT_SIZE(name, structure) int32_t name;
#include "goruntime/layout_fields.h"
#undef LAYOUT_FIELD
#undef LAYOUT_SIZE
};

struct layout {
	struct layout_offsets at;
	int minor; // 26 for go1.26.x
	enum pointer_bits pointer_bits;
	enum map_kind maps;
	// Green tea: mark bits at the end of spans of 16..512 B elements (1.26 on, 1.25 by
	// experiment).
	bool inline_mark_bits;
	// TFlag bit 4 set: GCData points to a pointer to the mask (1.24 on).
	bool type_mask_on_demand;
	// Kinds of specials; 255: does not exist.
	uint8_t special_finalizer, special_weak, special_cleanup, special_profile;
};

// Chooses the layout for `version` ("go1.26.11", "go1.25.3 X:greenteagc"). An unknown version is
// refused.
struct error *layout_choose(const char *version, enum target_arch arch, struct layout *out);

// Reads every field from the executable's debug information; -1 where it tells nothing. `version`
// is left alone.
struct error *layout_read(struct executable *executable, struct layout_offsets *out);

// Reads the same fields from the target's debug information; where both know a field they must
// agree, and where they differ the debug information wins and the difference is described in `note`
// (NULL when none; free it).
struct error *layout_refine(struct layout *layout, struct executable *executable, char **note);

// The generated tables.
extern const struct layout_offsets layout_table[], layout_table_arm64[];
extern const unsigned layout_table_count, layout_table_arm64_count;

#endif
