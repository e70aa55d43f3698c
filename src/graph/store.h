// The compressed edge store: who points to whom, in 2 to 4 bytes an edge.
//
// One line of 64 bytes (a cache line) describes 64 consecutive nodes:
//
//	line --> edges: | offset | offset | ... | successors of a | successors of b | ...
//	                 one per node with successors, in order
//
// so finding a node's successors costs two cache misses at most. The successors of a node are
// distinct, ascending and never the node itself; they are written as LEB128 numbers: how many, the
// first one as its (zigzag) distance from the node, then the differences. Heaps are local, so most
// of these numbers take one or two bytes.
#ifndef GRAPH_STORE_H
#define GRAPH_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "heapwhy/stable_vector.h"
#include "heapwhy/vector.h"

typedef uint32_t node_id;

enum { LINE_SHIFT = 6, LINE_NODES = 1 << LINE_SHIFT };

enum line_flags {
	LINE_WIDE = 1, // the offsets before the edges are 64 bits wide, not 16
	LINE_ODD_SIZES =
		2, // more than two sizes: sizes[0] is an index into store.odd_sizes, in lines
};

struct node_line {
	const uint8_t *edges; // NULL when no node has successors
	uint64_t inner;       // a bit a node: has successors
	uint64_t multi;   // has several predecessors, or is kept out of folding for another reason
	uint64_t visited; // by the depth-first search; once that is over: is in the core
	uint32_t multi_rank;   // number of multi nodes before this line; after the search: of core
			       // nodes
	uint32_t reached_rank; // number of reached nodes before this line
	uint32_t sizes[2];     // bytes: of nodes before `split`, and of the others
	uint8_t split;
	uint8_t flags;
} __attribute__((aligned(64)));

struct edge_block {
	uint8_t *bytes; // pages
	size_t size, used;
};

struct edge_blocks {
	HW_VECTOR(struct edge_block) list;
};

struct store {
	struct node_line *lines;
	uint32_t line_count;
	struct edge_blocks blocks;
	HW_STABLE_VECTOR(uint32_t)
	odd_sizes; // LINE_NODES for each line with LINE_ODD_SIZES; size_pack()
	uint64_t edge_count, edge_bytes;
};

void store_init(struct store *store);
void store_deinit(struct store *store);

// Makes room for `nodes` nodes; new ones have no successors and size 0. False: out of memory.
bool store_resize(struct store *store, uint64_t nodes);

// Sets the sizes of `count` nodes from `node` on. Sizes are set in ascending order, once. False:
// out of memory.
bool store_set_sizes(struct store *store, node_id node, uint64_t count, uint64_t size);

static inline struct node_line *store_line(const struct store *store, node_id node)
{
	return &store->lines[node >> LINE_SHIFT];
}

static inline uint64_t node_bit(node_id node)
{
	return UINT64_C(1) << (node % LINE_NODES);
}

// How many bits of `bits` belong to nodes before `node` in its line.
static inline uint32_t rank_in_line(uint64_t bits, node_id node)
{
	return (uint32_t)__builtin_popcountll(bits & (node_bit(node) - 1));
}

// A size in four bytes. From 2 GiB on it is one of whole pages of Go's heap (runtime/mheap.go, pageSize).
enum { SIZE_PAGE_SHIFT = 13 };
#define SIZE_IN_PAGES (UINT32_C(1) << 31)

static inline uint32_t size_pack(uint64_t size)
{
	return size < SIZE_IN_PAGES ? (uint32_t)size
				    : SIZE_IN_PAGES | (uint32_t)(size >> SIZE_PAGE_SHIFT);
}

static inline uint64_t size_unpack(uint32_t packed)
{
	return packed < SIZE_IN_PAGES ? packed
				      : (uint64_t)(packed & ~SIZE_IN_PAGES) << SIZE_PAGE_SHIFT;
}

static inline uint64_t store_size(
	const struct store *store, const struct node_line *line, node_id node)
{
	unsigned index = node % LINE_NODES;

	if (__builtin_expect(line->flags & LINE_ODD_SIZES, 0))
		return size_unpack(
			store->odd_sizes.items[(size_t)line->sizes[0] * LINE_NODES + index]);
	return line->sizes[index >= line->split];
}

// The bytes of all nodes of line number `line` whose bit is set in `bits`.
uint64_t store_line_bytes(const struct store *store, uint32_t line, uint64_t bits);

// Takes all successors away from `node`, which has some.
void store_forget(struct store *store, node_id node);

// Walking the successors of a node.
//
//	struct edge_cursor cursor = edges_of(store, node);
//	while (cursor.left)
//		use(edge_next(&cursor));
struct edge_cursor {
	const uint8_t *at;
	uint32_t left;
	node_id next;
};

static inline uint32_t varint_read(const uint8_t **at)
{
	const uint8_t *p = *at;
	uint32_t value = *p++;

	if (__builtin_expect(value >= 0x80, 0)) {
		unsigned shift = 7;

		value &= 0x7f;
		for (;; shift += 7) {
			uint32_t byte = *p++;

			value |= (byte & 0x7f) << shift;
			if (byte < 0x80)
				break;
		}
	}
	*at = p;
	return value;
}

// Where the encoded successors of `node` begin. Only for inner nodes.
static inline const uint8_t *edges_at(const struct node_line *line, node_id node)
{
	uint32_t rank = rank_in_line(line->inner, node);

	if (__builtin_expect(line->flags & LINE_WIDE, 0)) {
		uint64_t wide;

		memcpy(&wide, line->edges + rank * sizeof(wide), sizeof(wide));
		return line->edges + wide;
	}
	uint16_t narrow;
	memcpy(&narrow, line->edges + rank * sizeof(narrow), sizeof(narrow));
	return line->edges + narrow;
}

static inline struct edge_cursor edges_of(const struct store *store, node_id node)
{
	const struct node_line *line = store_line(store, node);
	struct edge_cursor cursor = {NULL, 0, 0};

	if (line->inner & node_bit(node)) {
		cursor.at = edges_at(line, node);
		cursor.left = varint_read(&cursor.at);
		uint32_t zigzag = varint_read(&cursor.at);
		cursor.next = node + ((zigzag >> 1) ^ -(zigzag & 1));
	}
	return cursor;
}

// Asks for the beginning of a node's edges, whose line should be here already. always_inline: gcc
// 12 takes a function that only prefetches for one without effect and drops the calls.
__attribute__((always_inline)) static inline void edges_prefetch(
	const struct store *store, node_id node)
{
	const struct node_line *line = store_line(store, node);

	if (line->inner & node_bit(node))
		__builtin_prefetch(line->edges + rank_in_line(line->inner, node) * 2);
}

// Asks for the edges themselves, when their beginning should be known: the second of two steps, for whoever knows that
// early what comes. always_inline as above.
__attribute__((always_inline)) static inline void edges_prefetch_more(
	const struct store *store, node_id node)
{
	const struct node_line *line = store_line(store, node);

	if (line->inner & node_bit(node))
		__builtin_prefetch(edges_at(line, node));
}

static inline node_id edge_next(struct edge_cursor *cursor)
{
	node_id node = cursor->next;

	if (--cursor->left)
		cursor->next += varint_read(&cursor->at);
	return node;
}

// Takes the next successors, up to EDGES_AT_ONCE, and asks for their lines: whoever looks at many nodes
// waits for memory at each otherwise. always_inline as above.
enum { EDGES_AT_ONCE = 48 };

__attribute__((always_inline)) static inline unsigned edges_take(
	const struct store *store, struct edge_cursor *cursor, node_id targets[EDGES_AT_ONCE])
{
	unsigned count = 0;

	for (; cursor->left && count < EDGES_AT_ONCE; count++) {
		targets[count] = edge_next(cursor);
		__builtin_prefetch(store_line(store, targets[count]));
	}
	return count;
}

// Fills lines, one after the other. One writer belongs to one thread; several may fill different
// lines of one store.
struct line_writer {
	struct store *store;
	uint32_t line;
	uint64_t inner;
	uint64_t offsets[LINE_NODES]; // from the first successor byte of the line
	HW_VECTOR(uint8_t) bytes;     // starts with room for the offsets
	struct edge_blocks blocks;    // the last one is being filled
	uint64_t edge_count, edge_bytes;
};

void line_writer_init(struct line_writer *writer, struct store *store);
void line_writer_deinit(struct line_writer *writer);

struct target_set;

// Writes the successors of `node` (ascending from call to call); the set may not be empty. False:
// out of memory.
bool line_writer_add(struct line_writer *writer, node_id node, const struct target_set *targets);

// Ends the line that is being written.
bool line_writer_flush(struct line_writer *writer);

// Hands blocks and counts over to the store. Not thread-safe.
bool line_writer_finish(struct line_writer *writer);

#endif
