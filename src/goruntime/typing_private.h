// Inside typing: its state. For typing*.c only; typing_dwarf.c needs no more than typing_claims.h.
#ifndef GORUNTIME_TYPING_PRIVATE_H
#define GORUNTIME_TYPING_PRIVATE_H

#include <string.h>

#include "goruntime/typing_claims.h"
#include "goruntime/typing_parts.h"
#include "goruntime/typing_program.h"
#include "goruntime/typing_queue.h"
#include "heapwhy/arena.h"
#include "heapwhy/map.h"
#include "heapwhy/vector.h"

// What a heap object is, in 32 bits a slot: 0 (not known) or a type, whether there is an array of
// it, and how that came. The claim always covers the whole object: one value of the type fills the
// slot but for rounding, or an array does.
enum {
	CLAIM_ARRAY = 1 << 0, // a backing array
	CLAIM_GUESS = 1 << 1, // by likeness only
	CLAIM_FIRM =
		1
		<< 2, // the runtime itself says so (malloc header, hchan.elemtype): never replaced
	CLAIM_MIXED =
		1
		<< 3, // a block of several tiny objects of different types; the type is one of them
	CLAIM_FLAGS = 15,
	CLAIM_TYPE_SHIFT = 4,
};

static inline uint32_t claim_type_id(uint32_t claim)
{
	return (claim >> CLAIM_TYPE_SHIFT) - 1;
}

static inline uint32_t claim_make(const struct go_type *type, uint32_t flags)
{
	return (type->id + 1) << CLAIM_TYPE_SHIFT | flags;
}

// A global variable by whatever name is known.
struct known_global {
	struct global_name name;
	uint32_t order; // of registration: earlier ones win
};

struct typing {
	struct heap *heap;
	const uint64_t *live;
	const struct roots *roots;
	const struct goroutine_list *goroutines;
	struct type_table *types;
	struct hw_arena arena;
	struct memory memory;
	struct heap_reader *reader;
	bool no_memory;
	unsigned flags;

	uint32_t *claims;         // a claim for each slot; NULL once there are labels
	uint64_t *pending;        // a bit for each slot: typed and not yet followed
	struct span_queue *queue; // spans with pending objects
	uint8_t *window;          // what is being followed, WINDOW_BYTES

	struct parts parts;

	struct program **programs; // by type's id
	uint32_t program_count;

	struct hw_map captures;      // closure code -> struct go_type with what it captures
	struct hw_map capture_types; // ids of the synthetic types in captures and closures
	struct hw_map closures;      // closure code -> struct go_type that is only its name
	struct hw_map headers; // map or chan type's id -> synthetic type of the object it points to
	struct known_types {   // NULL where the program has no such type
		const struct go_type *hmap, *swiss_map, *hchan, *scase, *any, *pool_local,
			*weak_handle;
		const struct go_type *runtime_timer, *timer,
			*ticker;                  // runtime.timer, time.Timer, time.Ticker
		const struct go_type *time_timer; // runtime.timeTimer, 1.23 on
		const struct go_type *bmap;       // stands for buckets of every type: says nothing
		// Made up:
		const struct go_type *string_bytes, *closure, *plain_chan, *some_timer;
	} known;

	HW_VECTOR(struct known_global) globals;
	bool globals_sorted;
	struct hw_map cut_arrays; // type and size of slots -> whether claim_cut_array() may be sure
	struct hw_map frame_maps; // pc of a frame -> struct map_candidates of its function
	HW_VECTOR(struct stack_map) stack_maps;
	HW_VECTOR(struct typed_memory)
	pointees;                   // in modules' data; by address once spreading is over
	struct typing_code *code;   // what the code scan found, NULL: not done
	struct typing_dwarf *dwarf; // NULL without DWARF

	struct labels *labels;
	struct typing_counters {
		uint64_t rejected_size, rejected_noscan, rejected_mask, conflicts;
	} counters;
};

enum {
	TYPING_WINDOW_BYTES = 1 << 17,
	MAP_HEADER_BYTES = 48,  // runtime.hmap; internal/runtime/maps.Map has 48 too
	TYPE_RECORD_BYTES = 48, // internal/abi.Type
	MAP_TABLE_BYTES = 32,   // internal/runtime/maps.table
};

// ---- typing_claims.c

// How a claim was come by.
enum claim_kind {
	CLAIM_BY_POINTER, // something points to a value
	CLAIM_BY_SLICE,   // count is a capacity: all of it has to fit
	CLAIM_BY_STRING,  // bytes of a string
	CLAIM_WHOLE,     // this is the object, whatever its size class says (runtime objects with a
			 // variable tail)
	CLAIM_BY_HEADER, // the runtime says so
};
void typing_claim_as(struct typing *typing, enum claim_kind kind, remote_addr address,
	const struct go_type *type, uint64_t count);

struct error *claims_create(struct typing *typing);
void claims_destroy(struct typing *typing);

// The live object that holds `address`; OBJECT_NONE outside.
object_id typing_find(const struct typing *typing, remote_addr address, const struct span **span);

static inline bool typing_is_live(const struct typing *typing, object_id id)
{
	return heap_bit(typing->live, id);
}

// Of the 64 objects from `first`, a multiple of 64, on: those that are live and have no type yet, a bit each. Most have one
// soon, so whoever looks for the others passes over the heap in such pieces.
static inline uint64_t typing_untyped(const struct typing *typing, object_id first)
{
	const uint32_t *claims = typing->claims + first;
	object_id left = typing->heap->object_count - first;
	uint8_t bytes[64] = {0};
	uint64_t untyped = 0;

	if (!typing->live[first / 64])
		return 0;
	for (unsigned i = 0; i < (left < 64 ? left : 64); i++)
		bytes[i] = !claims[i];
	for (unsigned i = 0; i < 64; i += 8) {
		uint64_t eight;
		memcpy(&eight, bytes + i, sizeof(eight));
		// Byte i is 0 or 1; the product's highest byte has it as bit i, and nothing is carried into it.
		untyped |= (eight * UINT64_C(0x0102040810204080) >> 56) << i;
	}
	return untyped & typing->live[first / 64];
}

const struct go_type *typing_object_type(const struct typing *typing, object_id id);

// A name that stands for several types.
bool typing_type_is_vague(const struct typing *typing, const struct go_type *type);

// Does the collector have bits about the objects of the span, or headers and types only?
bool span_has_pointer_bits(const struct heap *heap, const struct span *span);

// Does the collector see pointers where `count` values of `type` would have them, `offset` bytes into what an object
// holds? True where it keeps no bits about objects.
bool typing_mask_allows(struct typing *typing, const struct span *span, object_id id,
	uint64_t offset, const struct go_type *type, uint64_t count);

// ---- typing_follow.c: claims what the words of a value of the program's type lead to. `bytes`
// holds the value.
void typing_follow_value(
	struct typing *typing, const struct program *program, const uint8_t *bytes);

// A word that is a value of the pointer-shaped type `type`.
void typing_follow_pointer(struct typing *typing, const struct go_type *type, uint64_t word);

// The data word of an interface that holds a `type`.
void typing_follow_interface(struct typing *typing, const struct go_type *type, uint64_t word);

// ---- typing_globals.c

// Something points to `count` values of `type` in a module's data.
void typing_add_pointee(
	struct typing *typing, remote_addr address, const struct go_type *type, uint64_t count);
void typing_settle_pointees(struct typing *typing);

// ---- typing_maps.c: the objects behind a map and a channel, as synthetic types
const struct go_type *typing_map_header(struct typing *typing, const struct go_type *map);
const struct go_type *typing_chan_header(struct typing *typing, const struct go_type *elem);
void typing_follow_map(struct typing *typing, const struct go_type *map, const uint8_t *header);
void typing_follow_table(struct typing *typing, const struct go_type *map, const uint8_t *table);
void typing_follow_chan(struct typing *typing, const uint8_t *hchan, remote_addr self);

// ---- typing_hidden.c
void typing_follow_reflect(struct typing *typing, const uint8_t *value);
void typing_follow_trie_node(
	struct typing *typing, const struct go_type *node, const uint8_t *bytes, remote_addr self);
void typing_follow_chan_value(struct typing *typing, remote_addr channel, remote_addr value);
void typing_follow_bytes(struct typing *typing, remote_addr bytes);
void typing_follow_record(struct typing *typing, const uint8_t *record, remote_addr self);

// ---- typing_seeds.c: what is certain without debug information
void typing_claim_headers(struct typing *typing);
void typing_claim_runtime(struct typing *typing);
void typing_claim_root_closures(struct typing *typing);
void typing_claim_specials(struct typing *typing);
void typing_claim_interfaces(struct typing *typing);
void typing_claim_words(struct typing *typing);

// ---- typing_code.c
struct error *typing_code_scan(struct typing *typing);
void typing_code_claim(struct typing *typing);
void typing_code_destroy(struct typing_code *code);

// ---- typing_contents.c

// What a map may be.
struct map_candidates {
	uint32_t count;
	const struct go_type *types[];
};
bool map_candidates_have(const struct map_candidates *candidates, const struct go_type *type);
void typing_claim_maps(struct typing *typing);

// ---- typing_guess.c
struct error *typing_guess(struct typing *typing);

// ---- typing_frames.c
void typing_claim_frames(struct typing *typing);

#endif
